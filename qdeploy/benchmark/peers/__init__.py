"""What a user would otherwise deploy, one module each."""
