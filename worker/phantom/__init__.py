"""The computed chest CT whose lungs and disease are known exactly."""
