"""Filters and light: curves, spectra, synthetic magnitudes, extinction, colour terms."""
