"""The administrative database: what exists, what was made of it, and what is to be done.

Every function takes an open connection (`Ledger.read()` or `Ledger.write()` give one) and
returns plain values or small frozen dataclasses. Times are MJD, UTC.
"""
