"""Opening, transactions, migrations."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from postgres import is_wanted, new_database
from tesela.errors import LedgerError, LedgerLost
from tesela.ledger import engine, events, schema
from tesela.ledger.clock import iso
from tesela.ledger.engine import HEAD_REVISION, Ledger


def test_the_migrations_make_exactly_the_tables_of_the_schema(ledger: Ledger) -> None:
    with ledger.engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), schema.metadata) == []


def test_the_head_is_the_newest_migration() -> None:
    scripts = ScriptDirectory.from_config(engine._alembic_config())
    assert scripts.get_current_head() == HEAD_REVISION


def test_upgrading_again_changes_nothing(ledger: Ledger) -> None:
    ledger.upgrade()
    with ledger.read() as conn:
        assert conn.scalar(sa.text("SELECT COUNT(*) FROM alembic_version")) == 1


def test_downgrading_removes_every_table(ledger: Ledger) -> None:
    from alembic import command

    config = engine._alembic_config()
    with ledger.engine.connect() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "base")
        conn.commit()
        assert sa.inspect(conn).get_table_names() == ["alembic_version"]


def test_a_write_that_fails_leaves_nothing(ledger: Ledger) -> None:
    def fails() -> None:
        with ledger.write() as conn:
            events.record(conn, "something")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    with ledger.read() as conn:
        assert conn.execute(schema.event.select()).all() == []


def test_a_rehearsal_leaves_nothing(ledger: Ledger) -> None:
    with ledger.rehearse() as conn:
        events.record(conn, "something")
        assert len(conn.execute(schema.event.select()).all()) == 1
    with ledger.read() as conn:
        assert conn.execute(schema.event.select()).all() == []


def test_foreign_keys_are_enforced(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as conn:
        conn.execute(schema.edge.insert().values(product=1, source=2, role="input"))


def test_a_ledger_is_not_made_twice_nor_opened_where_none_is(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="tesela init"):
        Ledger.open(tmp_path / "none.sqlite")
    path = tmp_path / "ledger.sqlite"
    Ledger.create(path).close()
    with pytest.raises(LedgerError, match="already there"):
        Ledger.create(path)


def test_a_ledger_of_another_revision_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.create(path)
    with ledger.write() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    ledger.close()
    with pytest.raises(LedgerError, match="revision 9999"):
        Ledger.open(path)


def test_a_database_that_was_never_made_is_not_waited_for_in_words() -> None:
    if not is_wanted():
        pytest.skip("about PostgreSQL")
    nowhere = new_database().rpartition("/")[0] + "/nodb"
    with pytest.raises(LedgerLost, match=r"\"nodb\" does not exist.*`createdb`"):
        Ledger.open(nowhere)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('FATAL:  database "nodb" does not exist', "createdb"),
        ("failed to resolve host 'nowhere.invalid': Name or service not known", "URL in site.toml"),
        ('could not translate host name "nowhere.invalid" to address', "URL in site.toml"),
        ('FATAL:  password authentication failed for user "tesela"', "pgpass"),
        ("connection refused", "runs wait for it"),
    ],
)
def test_what_to_do_depends_on_why_the_database_does_not_answer(said: str, advice: str) -> None:
    with pytest.raises(LedgerLost, match=advice), engine._told_plainly():
        raise sa.exc.OperationalError("", {}, Exception(said))


def test_the_clock_counts_days_from_1858() -> None:
    assert iso(57937.5) == "2017-07-03T12:00:00Z"
