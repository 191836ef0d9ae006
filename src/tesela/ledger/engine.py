"""Opening the ledger: pragmas, transactions, migrations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from tesela.errors import LedgerError

BUSY_TIMEOUT_S = 60
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit must outlive a power cut: files are renamed on it
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}",
)


class Ledger:
    """The administrative database of one site.

    Use `Ledger.create(path)` once, `Ledger.open(path)` afterwards; `read()` and `write()`
    are transactions. A writer takes the lock at its beginning, so it never fails half way
    because another wrote in between.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def create(cls, path: Path) -> Ledger:
        """Make a new, empty ledger at `path`."""
        if path.exists():
            raise LedgerError(
                str(path),
                found="a ledger is already there",
                expected="no file",
                do="use it, or choose another site",
            )
        ledger = cls(_sqlite_engine(path))
        ledger.upgrade()
        return ledger

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open an existing ledger; its schema must be the one this version knows."""
        ledger = cls(_sqlite_engine(_existing(path)))
        ledger._check_revision()
        return ledger

    @classmethod
    def revision_of(cls, path: Path) -> str:
        """Return the revision of an existing ledger, whatever it is."""
        ledger = cls(_sqlite_engine(_existing(path)))
        found = ledger._revision()
        ledger.close()
        return found

    @classmethod
    def migrate(cls, path: Path) -> Ledger:
        """Open an existing ledger, of an older version of Tesela too, and bring it up to date.

        All the revisions it lacks are applied in one transaction; the rows stay.
        """
        ledger = cls(_sqlite_engine(_existing(path)))
        found = ledger._revision()
        if found > HEAD_REVISION:
            raise ledger._of_another(found)
        ledger.upgrade()
        return ledger

    def upgrade(self) -> None:
        """Bring the tables to the newest revision."""
        from alembic import command

        with self.engine.connect() as conn:
            config = _alembic_config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
            conn.commit()

    def _check_revision(self) -> None:
        found = self._revision()
        if found != HEAD_REVISION:
            raise self._of_another(found)

    def _revision(self) -> str:
        # The head is a constant here: loading Alembic would double the time of every verb.
        with self.read() as conn:
            return str(conn.scalar(sa.text("SELECT version_num FROM alembic_version")))

    def _of_another(self, found: str) -> LedgerError:
        self.close()
        return LedgerError(
            "ledger",
            found=f"revision {found}",
            expected=HEAD_REVISION,
            do="`tesela upgrade` brings an older one up to date"
            if found < HEAD_REVISION
            else "install the version that wrote it",
        )

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection on which one consistent state is seen."""
        with self.engine.connect() as conn, conn.begin():
            yield conn

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection whose changes are committed together, or not at all."""
        with self.engine.connect() as conn:
            conn = conn.execution_options(tesela_write=True)
            with conn.begin():
                yield conn

    @contextlib.contextmanager
    def rehearse(self) -> Iterator[Connection]:
        """Give a writing connection whose changes are always taken back (--dry-run)."""
        with self.engine.connect() as conn:
            conn = conn.execution_options(tesela_write=True)
            transaction = conn.begin()
            try:
                yield conn
            finally:
                transaction.rollback()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


HEAD_REVISION = "0004"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise LedgerError(
            str(path),
            found="no ledger",
            expected="the database of a site",
            do="make a site with `tesela init SITE --survey FILE`, or pass --site",
        )
    return path


def _alembic_config() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _sqlite_engine(path: Path) -> Engine:
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def _configure(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # we say BEGIN ourselves
        cursor = dbapi_connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        writing = conn.get_execution_options().get("tesela_write", False)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine
