"""The one training loop and all around it."""
