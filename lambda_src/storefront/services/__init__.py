"""What the storefront does, whoever asks."""
