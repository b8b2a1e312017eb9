"""Storage commitment for modalities: requests kept, judged and answered."""
