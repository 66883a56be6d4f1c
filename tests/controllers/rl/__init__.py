"""Tests of controllers.rl."""
