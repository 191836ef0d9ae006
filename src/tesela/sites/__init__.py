"""Files between installations: sent with manifests, verified by who gets them, audited, repaired.

Sites share no database. One sends a *shipment*, files with a manifest, into the inbox of another;
that one hashes every file itself, keeps what is right, and answers with a *receipt*, which the
first fetches. A receipt that names the checksums of our ledger is a *replica*.
"""
