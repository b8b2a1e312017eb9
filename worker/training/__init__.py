"""The computed chest CT phantom and the training of the pattern model on it."""
