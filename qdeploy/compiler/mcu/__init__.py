"""Kernels, plan and artifact of the microcontroller family."""
