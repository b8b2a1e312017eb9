"""Storage commitment for modalities: their requests are kept as files, and answered."""
