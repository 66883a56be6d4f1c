"""Whole networks as specs, a family a file."""
