"""Where an artifact runs: one module a runner."""
