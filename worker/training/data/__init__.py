"""What a model is trained and judged on: labelled data sets, phantoms, crops, splits."""
