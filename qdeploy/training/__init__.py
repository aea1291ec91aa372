"""Training: problem, relaxation, rounding, column generation, integer readout, certificate."""
