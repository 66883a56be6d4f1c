"""What the specs of a recipe do, found by the class of the spec."""
