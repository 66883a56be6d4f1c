"""Data sets, read once into plain arrays."""
