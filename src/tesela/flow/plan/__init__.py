"""Deciding what is due, and why: dirty keys in, tasks or reasons to wait out.

One file a kind of product (`masters`, `reduced`, `coadds`, `catalogues`, `tile_products` for four
kinds) says what the current version should have been made from; `planner` compares that with what
it was made from.
"""
