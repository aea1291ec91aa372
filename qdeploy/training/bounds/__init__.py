"""Proven upper bounds on the infinity-to-one norm, one module each."""
