"""Latency, energy, memory, peers and the report."""
