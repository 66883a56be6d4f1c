"""What a choice is worth: data, tasks, recipes, training."""
