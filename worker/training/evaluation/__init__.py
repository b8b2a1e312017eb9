"""How good a model is: scores, sweeps, agreement, reports."""
