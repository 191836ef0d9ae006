"""Virtual Observatory protocols over published releases."""
