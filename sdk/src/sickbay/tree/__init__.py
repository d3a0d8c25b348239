"""The checkpoint format: pure, and the same on both ends."""
