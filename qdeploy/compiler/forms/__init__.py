"""Kernel forms of the quadratic network, one module each."""
