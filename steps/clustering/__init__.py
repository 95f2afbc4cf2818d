"""What the sweep computes and records."""
