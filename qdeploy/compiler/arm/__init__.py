"""Artifacts of 64-bit ARM Linux boards: candidates counted in the emulator, libraries, programs."""
