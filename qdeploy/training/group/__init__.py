"""Outputs that share their neurons, at the price λ Σ_j ‖a_j‖₂ (docs/outputs.md)."""
