"""Algorithms on arrays: numbers in, numbers out."""
