"""Opening the ledger, on SQLite or PostgreSQL: transactions, migrations.

The two have one schema and one meaning of `read` and `write`. A reader sees one consistent state.
A writer is alone, unless it says that it may be with others: then those that only claim, renew and
commit attempts go on side by side, and nobody plans or judges meanwhile.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from tesela.errors import LedgerError, LedgerLost
from tesela.products.disk import is_read_only

BUSY_TIMEOUT_S = 60
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit must outlive a power cut: files are renamed on it
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}",
)
_WRITERS = 7_355_608
"""Number of the advisory lock on PostgreSQL by which a writer is alone."""
_CONNECT_TIMEOUT_S = 10
_TRUSTED_S, _RESTS_SINCE = 1.0, "tesela rests since"
"""A connection that rested for longer is tried before it is used."""
_SQLITE_LOST = ("locked", "full", "unable to open", "disk I/O")
_NO_DATABASE = re.compile('database ".*" does not exist')
_NO_WAY_IN = (
    "resolve host", "translate host name", "authentication failed", "no password supplied",
)  # fmt: skip

HEAD_REVISION = "0005"


class Ledger:
    """The administrative database of one site.

    Use `Ledger.create(place)` once, `Ledger.open(place)` afterwards; a place is the path of a
    SQLite file, or the URL of a PostgreSQL database. `read()` and `write()` are transactions. A
    writer takes the lock at its beginning, so it never fails half way because another wrote in
    between.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def is_shared(self) -> bool:
        """Whether several controllers may work on it."""
        return self.engine.dialect.name == "postgresql"

    @classmethod
    def create(cls, place: Path | str) -> Ledger:
        """Make a new, empty ledger: a file that does not exist yet, or in an empty database."""
        if isinstance(place, Path) and place.exists():
            raise _already_there(place)
        ledger = cls(_engine(place))
        if ledger.is_shared and ledger._revision_if_any() is not None:
            ledger.close()
            raise _already_there(place)
        ledger.upgrade()
        return ledger

    @classmethod
    def is_at(cls, place: Path | str) -> bool:
        """Whether there is a ledger at a place, sound or not."""
        if isinstance(place, Path):
            return place.exists()
        ledger = cls(_engine(place))
        found = ledger._revision_if_any()
        ledger.close()
        return found is not None

    @classmethod
    def open(cls, place: Path | str) -> Ledger:
        """Open an existing ledger; its schema must be the one this version knows."""
        ledger = cls(_engine(_existing(place)))
        ledger._check_revision()
        return ledger

    @classmethod
    def revision_of(cls, place: Path | str) -> str:
        """Return the revision of an existing ledger, whatever it is."""
        ledger = cls(_engine(_existing(place)))
        found = ledger._revision()
        ledger.close()
        return found

    @classmethod
    def migrate(cls, place: Path | str) -> Ledger:
        """Open an existing ledger, of an older version of Tesela too, and bring it up to date.

        All the revisions it lacks are applied in one transaction; the rows stay.
        """
        ledger = cls(_engine(_existing(place)))
        found = ledger._revision()
        if found > HEAD_REVISION:
            raise ledger._of_another(found)
        ledger.upgrade()
        return ledger

    def upgrade(self) -> None:
        """Bring the tables to the newest revision."""
        from alembic import command

        with _told_plainly(), self.engine.connect() as conn:
            config = _alembic_config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
            conn.commit()

    def _check_revision(self) -> None:
        found = self._revision()
        if found != HEAD_REVISION:
            raise self._of_another(found)

    def _revision(self) -> str:
        found = self._revision_if_any()
        if found is None:
            self.close()
            raise LedgerError(
                "ledger",
                found="a database without its tables",
                expected="the database of a site",
                do="make the site with `tesela init`, or restore a backup (docs/howto/operate.md)",
            )
        return found

    def _revision_if_any(self) -> str | None:
        # The head is a constant here: loading Alembic would double the time of every verb.
        with self.read() as conn:
            if not sa.inspect(conn).has_table("alembic_version"):
                return None
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
        """Give a connection on which one consistent state is seen.

        Raises `LedgerLost` if the database cannot be reached, `LedgerError` if it is damaged.
        """
        with _told_plainly(), self.engine.connect() as conn:
            if self.is_shared:
                conn = conn.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with conn.begin():
                yield conn

    @contextlib.contextmanager
    def glance(self) -> Iterator[Connection]:
        """Give a connection for single questions, each of which sees the state of its moment.

        On PostgreSQL it costs a third of `read`: a transaction begins and ends by round trips.
        """
        if not self.is_shared:
            with self.read() as conn:
                yield conn
            return
        with _told_plainly(), self.engine.connect() as conn:
            yield conn.execution_options(isolation_level="AUTOCOMMIT")

    @contextlib.contextmanager
    def write(self, *, how: str = "alone") -> Iterator[Connection]:
        """Give a connection whose changes are committed together, or not at all.

        On PostgreSQL a writer is `alone`, or `shared` with others that are, or `free`: it waits for
        nobody, since it touches only what is its own. SQLite has one writer at a time. Raises as
        `read` does; after `LedgerLost` nobody knows whether the changes were committed.
        """
        with _told_plainly(), self.engine.connect() as conn:
            conn = conn.execution_options(tesela_write=how)
            with conn.begin():
                yield conn

    @contextlib.contextmanager
    def rehearse(self) -> Iterator[Connection]:
        """Give a writing connection whose changes are always taken back (--dry-run)."""
        with _told_plainly(), self.engine.connect() as conn:
            conn = conn.execution_options(tesela_write="alone")
            transaction = conn.begin()
            try:
                yield conn
            finally:
                transaction.rollback()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _already_there(place: Path | str) -> LedgerError:
    return LedgerError(
        str(place),
        found="a ledger is already there",
        expected="no file" if isinstance(place, Path) else "an empty database",
        do="use it, or choose another site",
    )


def _existing(place: Path | str) -> Path | str:
    if isinstance(place, Path) and not place.is_file():
        raise LedgerError(
            str(place),
            found="no ledger",
            expected="the database of a site",
            do="make a site with `tesela init SITE --survey FILE`, or pass --site",
        )
    return place


def _alembic_config() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


@contextlib.contextmanager
def _told_plainly() -> Iterator[None]:
    """Say in our words that the database is away or damaged; other errors pass."""
    try:
        yield
    except DBAPIError as error:
        if _is_damaged(error):
            raise LedgerError(
                "ledger",
                found=f"a damaged database ({_first_line(error)})",
                expected="a sound one",
                do="stop all work at this site, then restore the last backup with "
                "`tesela backup --restore FILE`, which keeps the file that is there",
            ) from error
        if "readonly database" in str(error.orig):
            raise LedgerError(
                "ledger",
                found="that it may only be read",
                expected="a database that we may change",
                do="see whether its disk was mounted read-only, and whose it is; `tesela status`,"
                " `history`, `lineage` and `backup` work all the same",
            ) from error
        if _is_lost(error):
            raise LedgerLost(
                "ledger",
                found=_first_line(error),
                expected="a database that answers",
                do=_remedy(error),
            ) from error
        raise


def _is_damaged(error: DBAPIError) -> bool:
    said = str(error.orig)
    return "malformed" in said or "not a database" in said


def _is_lost(error: DBAPIError) -> bool:
    """SQLite calls a defect of ours (no such column) operational, too."""
    if isinstance(error.orig, sqlite3.Error):
        return any(word in str(error.orig) for word in _SQLITE_LOST)
    return isinstance(error, (OperationalError, InterfaceError))


def _remedy(error: DBAPIError) -> str:
    """A server that is there and says no, or a host that nobody knows, is told apart from one that
    is down by words alone: psycopg has no code for what fails before there is a connection."""
    said = str(error.orig)
    if _NO_DATABASE.search(said):
        return "make it with `createdb`, or correct the URL in site.toml"
    if any(words in said for words in _NO_WAY_IN):
        return "check the URL in site.toml, and ~/.pgpass"
    return "if it is down or its disk is full, mend that: runs wait for it and go on"


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def _engine(place: Path | str) -> Engine:
    return _sqlite_engine(place) if isinstance(place, Path) else _postgresql_engine(place)


def _sqlite_engine(path: Path) -> Engine:
    frozen = is_frozen(path)
    engine = sa.create_engine(
        f"sqlite:///{frozen_uri(path)}&uri=true" if frozen else f"sqlite:///{path}"
    )

    @sa.event.listens_for(engine, "connect")
    def _configure(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # we say BEGIN ourselves
        cursor = dbapi_connection.cursor()
        for pragma in _PRAGMAS if not frozen else ():
            cursor.execute(pragma)
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        writing = conn.get_execution_options().get("tesela_write", False)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def frozen_uri(path: Path) -> str:
    """A ledger that nobody can change, as SQLite knows it."""
    return f"file:{quote(str(path.resolve()))}?immutable=1"


def is_frozen(path: Path) -> bool:
    """Whether nobody can change a ledger: its disk was mounted read-only after an error, say.

    It is opened as it stands, for SQLite would make files beside it. With a journal that is not
    empty it cannot be: the last commits are in there.
    """
    journal = path.with_name(f"{path.name}-wal")
    return (
        path.is_file()
        and is_read_only(path.parent)
        and not (journal.is_file() and journal.stat().st_size)
    )


def _postgresql_engine(url: str) -> Engine:
    try:
        import psycopg
    except ImportError:
        raise LedgerError(
            url,
            found="no driver for PostgreSQL",
            expected="psycopg",
            do="pip install 'tesela[cluster]'",
        ) from None
    parts = sa.make_url(url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(
        parts,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "application_name": "tesela",
            # A host that vanished without a word is noticed within half a minute.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 25_000,  # in the middle of a statement, too
        },
    )

    @sa.event.listens_for(engine, "checkin")
    def _rest(_: Any, record: Any) -> None:
        record.info[_RESTS_SINCE] = time.time()  # which goes on while a host sleeps

    @sa.event.listens_for(engine, "checkout")
    def _look(dbapi_connection: Any, record: Any, _: Any) -> None:
        """One that rested may have been cut by a restart of the server: it is made anew."""
        now = time.time()
        if abs(now - record.info.get(_RESTS_SINCE, now)) > _TRUSTED_S:
            try:
                engine.dialect.do_ping(dbapi_connection)
            except psycopg.Error as error:
                raise sa.exc.DisconnectionError(str(error)) from error

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        writing = conn.get_execution_options().get("tesela_write", "")
        if writing in ("alone", "shared"):
            how = "_shared" if writing == "shared" else ""
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock{how}({_WRITERS})")

    return engine
