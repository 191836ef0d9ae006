"""A seeded sky, telescope and camera that make raw nights with known truth.

Nothing here shares numerics with the stages that reduce the frames: a mistake made in both places
would otherwise cancel. The sky is denser than nature (about 5 times the stars, 10 times the
galaxies of a high-latitude field) so that small fields hold enough objects for statistics.
"""
