"""What a release of a site is frozen from: of each tile what is current, and what speaks against.

Everything is asked before anything is written: a tile is refused that is missing, unfinished,
changed on disk, or made for another survey.toml than the one that the release would carry.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

import tesela
from tesela.errors import BadInput, ProductError, QualityError
from tesela.flow.plan import coadds
from tesela.flow.plan.tile_products import KINDS
from tesela.flow.run.bodies import registry
from tesela.flow.run.site import Site
from tesela.ledger import frames, products, tasks, tiles
from tesela.ledger.keys import coadd_key
from tesela.products import paths
from tesela.products.catalogue import count_rows, read_facts
from tesela.products.columns import band_order
from tesela.products.files import sha256_of
from tesela.stages import release as release_stage

TABLES = ("objects", "detections", "tiles")
_MANY = 5


@dataclass(frozen=True)
class Chosen:
    """What is current of a tile."""

    tile: str
    science: dict[str, Any]
    coadds: dict[str, dict[str, Any]]
    """By band: the very coadds that the tile's tables were made from."""
    code_versions: tuple[str, ...]
    """Versions of the program that made its products, sorted."""

    @property
    def version(self) -> int:
        """Of its tables."""
        return int(self.science["version"])


@dataclass(frozen=True)
class Choice:
    """Tiles that can be frozen, and sentences about those that cannot."""

    tiles: tuple[Chosen, ...]
    refused: tuple[str, ...]

    def require(self, name: str) -> None:
        """Raise `QualityError` if a tile was refused, or none is left."""
        if self.refused:
            more = f" and {len(self.refused) - _MANY} more" if len(self.refused) > _MANY else ""
            raise QualityError(
                f"release {name}",
                found="; ".join(self.refused[:_MANY]) + more,
                expected="every observed tile ready",
                do="run `tesela run` (after `tesela reprocess --all` where settings differ), "
                "ask `tesela why TILE`, or leave tiles out with --without TILE",
            )
        if not self.tiles:
            raise QualityError(
                f"release {name}",
                found="no tile in the science database",
                expected="one at least",
                do="run `tesela run`, then look at `tesela status`",
            )


def choose(conn: Connection, site: Site, without: Sequence[str] = ()) -> Choice:
    """Take every observed tile that is ready; each that is not gives a sentence."""
    observed = tiles.observed(conn)
    unknown = sorted(set(without) - set(observed))
    if unknown:
        raise BadInput(
            f"--without {', '.join(unknown)}", found="no such tile", expected=", ".join(observed)
        )
    wanted = {spec.kind: spec.settings_hash for spec in registry(site.survey).specs.values()}
    chosen, refused = [], []
    for tile in observed:
        if tile in without:
            continue
        science = products.current(conn, "science", tile)
        unfinished = _unfinished(conn, tile)
        if unfinished:
            refused.append(f"{tile}: {unfinished}")
        elif science is None:
            refused.append(f"{tile}: not in the science database")
        elif reasons := [*_other_settings(conn, science, wanted), *_other_files(site, science)]:
            refused += [f"{tile}: {reason}" for reason in reasons]
        else:
            used = _made(conn, science)
            versions = {row["code_version"] for row in [science, *used]} - {""}
            chosen.append(Chosen(tile, science, coadds_of(conn, science), tuple(sorted(versions))))
    return Choice(tuple(chosen), tuple(refused))


def _unfinished(conn: Connection, tile: str) -> str:
    """Say what keeps a tile from being what its frames, masters and verdicts ask for."""
    for kind in KINDS:
        if tasks.is_pending(conn, kind, tile):
            return f"{kind} is due"
    for band in frames.bands_of(conn, tile):
        key = coadd_key(tile, band)
        for kind in ("coadd", "catalogue"):
            if tasks.is_pending(conn, kind, key):
                return f"{kind} {key} is due"
        awaited = next((c for c in coadds.candidates(conn, key) if c.awaited), None)
        if awaited is not None:
            return f"frame {awaited.name}: {awaited.awaited}"
    for kind in KINDS:
        task = tasks.get(conn, kind, tile)
        if task is not None and task["state"] in ("dead", "skipped"):
            return f"{kind} is {task['state']}, {task['reason']}"
    return ""


def _made(conn: Connection, science: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The products of the whole tile that its tables were made from."""
    rows = [row for row in products.inputs(conn, science["id"]) if row["kind"] in KINDS]
    return [products.version(conn, row["kind"], row["key"], row["version"]) for row in rows]


def _other_settings(
    conn: Connection, science: Mapping[str, Any], wanted: Mapping[str, str]
) -> Iterator[str]:
    other = [
        row["kind"]
        for row in [*_made(conn, science), science]
        if row["settings_hash"] != wanted[row["kind"]]
    ]
    if other:
        yield f"{', '.join(other)} made with other settings than survey.toml has now"


def _other_files(site: Site, science: Mapping[str, Any]) -> Iterator[str]:
    """Say which tables are not the files that were committed, or are of other bands."""
    known = {path: checksum for path, checksum, _ in json.loads(science["files_json"])}
    for table in TABLES:
        path = paths.science(science["key"], science["version"], table)
        if not (site.folder / path).is_file():
            yield f"{path} is missing"
        elif sha256_of(site.folder / path) != known.get(str(path)):
            yield (
                f"{path} is not the file that was written: `tesela audit --checksum --repair` "
                "fetches it from another site"
            )
        else:
            yield from _other_bands(site, path)


def _other_bands(site: Site, path: Path) -> Iterator[str]:
    try:
        facts = read_facts(site.folder / path)
    except ProductError as error:
        yield str(error)
        return
    survey = {"detection_band": site.survey.detects_in, "bands": list(_bands(site))}
    for name, now in survey.items():
        if facts.get(name, now) != now:
            was = facts[name] if isinstance(facts[name], str) else " ".join(facts[name])
            is_now = now if isinstance(now, str) else " ".join(now)
            yield f"{path} has {name.replace('_', ' ')} {was}, survey.toml {is_now}"


def coadds_of(conn: Connection, science: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The very coadds that a tile's tables were made from, by band."""
    rows = [row for row in products.inputs(conn, science["id"]) if row["kind"] == "coadd"]
    full = {row["key"]: products.version(conn, "coadd", row["key"], row["version"]) for row in rows}
    return {key.rpartition(".")[2]: row for key, row in full.items()}


def rows_of(site: Site, one: Chosen) -> dict[str, int]:
    """Rows of a tile's tables, by table."""
    return {
        table: count_rows(site.folder / paths.science(one.tile, one.version, table))
        for table in TABLES
    }


def inputs(
    site: Site, name: str, title: str, chosen: Sequence[Chosen]
) -> release_stage.ReleaseInputs:
    """What the stage takes."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return release_stage.ReleaseInputs(
        name=name,
        title=title or f"{site.survey.name} {name}",
        survey=site.survey.name,
        detection_band=site.survey.detects_in,
        bands=_bands(site),
        created=now.isoformat().replace("+00:00", "Z"),
        code_version=tesela.__version__,
        tiles=tuple(_tile(site, one) for one in chosen),
    )


def _bands(site: Site) -> tuple[str, ...]:
    return band_order(site.survey.filters)


def _tile(site: Site, one: Chosen) -> release_stage.TileInput:
    ra, dec = site.grid.centre(one.tile)
    corners_ra, corners_dec = site.grid.wcs(one.tile).footprint()

    def table(which: str) -> Path:
        return site.folder / paths.science(one.tile, one.version, which)

    return release_stage.TileInput(
        name=one.tile,
        version=one.version,
        ra_deg=ra,
        dec_deg=dec,
        corners_deg=tuple(zip(map(float, corners_ra), map(float, corners_dec))),
        data_hash=one.science["data_hash"],
        objects=table("objects"),
        detections=table("detections"),
        tiles=table("tiles"),
        coadds={band: site.folder / row["path"] for band, row in one.coadds.items()},
        checksums={band: row["checksum"] for band, row in one.coadds.items()},
        code_versions=one.code_versions,
    )
