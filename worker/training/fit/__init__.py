"""Training: plan, optimiser, calibration, publishing."""
