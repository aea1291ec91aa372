"""64-bit ARM boards: implementations built alike, counted in one emulator, timed on a board."""
