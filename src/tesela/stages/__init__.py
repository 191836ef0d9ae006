"""The street a frame walks down; each stage knows its own settings and nothing of the others."""
