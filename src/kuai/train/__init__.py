"""Training: losses, metrics, callbacks, and the Trainer around them."""
