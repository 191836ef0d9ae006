"""The nouns of the pipeline: what they hold, what they are called, how they lie on disk."""
