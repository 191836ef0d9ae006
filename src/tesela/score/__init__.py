"""Products compared with simulated truth: the numbers and pictures of the demonstration."""
