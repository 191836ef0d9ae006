"""Pages about masters: plots as PNG, and beside each the numbers that are drawn."""
