"""Training: the Trainer, its loop, and what a run leaves."""
