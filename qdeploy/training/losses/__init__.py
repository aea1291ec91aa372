"""Convex losses, one module each."""
