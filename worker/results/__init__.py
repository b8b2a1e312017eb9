"""An assessment becomes files: DICOM SEG, DICOM SR and overlay pictures, each written once."""
