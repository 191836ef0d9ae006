"""Pages: the public archive and the internal portal, on templates and tokens that they share."""
