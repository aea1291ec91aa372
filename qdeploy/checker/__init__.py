"""Proof of a certificate from model file and data; shares no mathematics with the trainer."""
