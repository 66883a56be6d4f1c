"""Tests of controllers.predictor."""
