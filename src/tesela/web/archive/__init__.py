"""The public archive: pages over releases, without any administrative database."""
