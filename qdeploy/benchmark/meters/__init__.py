"""Sources of energy figures, one module each."""
