"""The modules that specs build; only what is here and below imports torch."""
