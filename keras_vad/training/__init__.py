"""Training: strategy, recipes, the loop with its phases, and the run folder."""
