"""Tesela: from the raw CCD frames of a wide-field, many-filter survey to a public sky archive."""

__version__ = "0.1.0"
