"""Controllers that learn a policy from rewards."""
