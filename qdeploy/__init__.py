"""qdeploy: polynomial networks with few-bit weights, trained to a proven gap, for edge devices."""

__version__ = "0.1.0"
