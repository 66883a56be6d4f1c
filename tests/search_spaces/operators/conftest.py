"""Every test draws its weights and inputs from the same seed."""

from tests.search_spaces.networks.conftest import seeded

__all__ = ["seeded"]
