"""Solvers of the semidefinite relaxation, one module each."""
