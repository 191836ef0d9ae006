"""Check and describe what comes from outside: raw frames and reference catalogues."""
