"""Questions about accounts, their projects and their tokens."""

from __future__ import annotations

from sqlalchemy import text

ACCOUNT = text("SELECT * FROM account WHERE name = :name")

ACCOUNTS = text("SELECT * FROM account ORDER BY name")

PROJECTS_OF_ACCOUNT = text("SELECT project FROM member WHERE account = :name ORDER BY project")

MEMBERS = text("SELECT account, project FROM member ORDER BY account, project")

TOKENS = text("SELECT * FROM access_token ORDER BY account, created_mjd, hash")

TOKENS_OF_ACCOUNT = text("""
    SELECT * FROM access_token WHERE account = :name ORDER BY created_mjd, hash
""")

ACCOUNT_OF_TOKEN = text("""
    SELECT t.hash, t.expires_mjd, t.revoked_mjd, a.name, a.role, a.disabled_mjd
    FROM access_token t JOIN account a ON a.name = t.account
    WHERE t.hash = :hash
""")

IS_PROJECT = text("SELECT 1 FROM project WHERE name = :name")
