"""Encodes an assessment as DICOM SEG, DICOM SR and overlay pictures, each file written once."""
