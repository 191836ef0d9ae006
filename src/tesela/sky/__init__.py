"""Geometry on the sphere: WCS, catalogue matching, astrometric solution, epochs, tiles."""
