"""The Reduction Portal: what a site did with each night, frame and tile. It changes nothing."""
