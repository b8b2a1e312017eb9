"""Functions of values: lungs, patterns, measurements. They open nothing, log nothing and know no DICOM."""
