"""Alembic's home: one file a revision under `versions`."""
