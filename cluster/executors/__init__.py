"""Where trials run: in this process (`local`) or as Ray Tune trials (`tune`)."""
