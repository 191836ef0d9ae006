"""Doing what is due: the one controller, its workers, and the steps they run."""
