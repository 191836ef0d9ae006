"""What the tests of the night ask a site, past the program's own questions."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tesela.products.environment import environment_now
from tesela.products.files import read_fits
from tesela.products.making import MEMBER, Making
from tesela.simulate.survey import REFCAT
from verbs import new_site, well

Key = tuple[str, str]
"""(kind, key) of a product."""


def fresh(site: Path, night: Path) -> Path:
    """Make a site with the night's reference catalogue and no frame."""
    new_site(site, night / "survey.toml")
    well("refcat", "add", REFCAT, night / "refcat.parquet", "--site", site)
    return site


def clone(site: Path, target: Path) -> Path:
    """Copy a site; its files, which nothing ever changes, are shared."""

    def copy(source: str, destination: str) -> None:
        if Path(source).name.startswith("ledger."):
            shutil.copyfile(source, destination)
        else:
            os.link(source, destination)

    shutil.copytree(site, target, copy_function=copy)
    return target


def ask(site: Path, query: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
    """Ask the ledger in its own language."""
    with sqlite3.connect(site / "ledger.sqlite") as ledger:
        return ledger.execute(query, tuple(values)).fetchall()


def current(site: Path, column: str) -> dict[Key, Any]:
    """One column of all products that are served."""
    rows = ask(site, f"SELECT kind, key, {column} FROM product WHERE is_current")
    return {(kind, key): value for kind, key, value in rows}


def ancestors(site: Path) -> dict[Key, set[Key]]:
    """Everything that each served product was made from: the edges, walked by hand."""
    names = {i: (kind, key) for i, kind, key in ask(site, "SELECT id, kind, key FROM product")}
    sources: dict[int, set[int]] = {}
    for product, source in ask(site, "SELECT product, source FROM edge WHERE role = 'input'"):
        sources.setdefault(product, set()).add(source)

    def above(product: int) -> set[int]:
        direct = sources.get(product, set())
        return direct.union(*(above(source) for source in direct))

    served = [i for (i,) in ask(site, "SELECT id FROM product WHERE is_current")]
    return {names[i]: {names[source] for source in above(i)} for i in served}


def assert_nothing_left_over(site: Path) -> None:
    """Each file has a row, each row its file, nothing temporary is left, no task is open."""
    recorded = {
        site / path
        for (files,) in ask(site, "SELECT files_json FROM product WHERE kind <> 'release'")
        for path, _, _ in json.loads(files)
    }
    on_disk = {
        path for part in ("raw", "products") for path in (site / part).rglob("*") if path.is_file()
    }
    assert on_disk == recorded
    assert list((site / "work").iterdir()) == []
    assert ask(site, "SELECT * FROM attempt WHERE outcome = 'running'") == []
    assert ask(site, "SELECT * FROM task WHERE state IN ('ready', 'running')") == []


def header(path: Path) -> dict[str, Any]:
    """The cards of an image, or the facts of a table about its making."""
    if path.suffix == ".fits":
        found = read_fits(path, []).cards
        return next(cards for cards in found.values() if "TSL KIND" in cards)
    facts = json.loads(pq.read_schema(path).metadata[b"tesela"])
    return dict(facts["provenance"])


def sources(site: Path, product: int) -> list[tuple[Any, ...]]:
    """Role, kind, key and version of all sources, each set followed by its masters."""
    rows = ask(
        site,
        "SELECT e.role, p.kind, p.key, p.version, p.id FROM edge e JOIN product p"
        " ON p.id = e.source WHERE e.product = ?",
        (product,),
    )
    found: list[tuple[Any, ...]] = []
    for *source, ident in rows:
        found.append(tuple(source))
        if source[1] == "calset":
            found += [(MEMBER, *rest) for _, *rest in sources(site, ident)]
    return found


def assert_headers_say_what_the_ledger_knows(site: Path, kind: str) -> int:
    """Of every version of a kind, field by field; gives how many files were read."""
    rows = ask(
        site,
        "SELECT id, key, version, code_version, settings_hash, scope, environment,"
        " operations_json, files_json FROM product WHERE kind = ?",
        (kind,),
    )
    n_files = 0
    for ident, key, version, code, settings, scope, environment, operations, files in rows:
        expected = sorted(sources(site, ident))
        assert expected, key
        assert code, key
        assert settings, key
        for path, _, _ in json.loads(files):
            if not path.endswith((".fits", ".parquet")) or ".pages/" in path:
                continue
            n_files += 1
            cards = header(site / path)
            made = Making.read(cards)
            assert (made.kind, made.key, made.version) == (kind, key, version)
            assert (made.code, made.settings, made.scope) == (code, settings, scope), path
            assert made.environment == (environment or environment_now().hash)
            told = sorted((one.role, one.kind, one.key, one.version) for one in made.sources)
            assert told == expected, path
            if path.endswith(".fits"):
                names = []
                while (name := cards.get(f"TSL OP{len(names) + 1} NAME")) is not None:
                    names.append(name)
                was_done = [one for one in json.loads(operations) if not one.startswith("no ")]
                assert [one for one in names if one in was_done] == was_done, path
    return n_files
