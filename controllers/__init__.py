"""Who chooses: ask and tell."""
