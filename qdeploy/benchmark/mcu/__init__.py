"""Microcontrollers: implementations built alike, run in one emulator, weighed by one model."""
