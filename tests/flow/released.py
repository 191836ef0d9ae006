"""A site whose science database is drawn, not processed: releases of it are built in a second."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from stages import frozen
from tesela.flow.run.bodies import registry
from tesela.flow.run.site import Site, init_site
from tesela.ledger import frames, products
from tesela.ledger.keys import coadd_key
from tesela.products import paths
from tesela.products.files import sha256_of

from .toys import facts

TILES = tuple(frozen.CENTRES)
_SURVEY = """
name = "drawn"
cameras = ["mini80"]
[filters.gSDSS]
[filters.rSDSS]
[filters.iSDSS]
[grid]
scheme = "list"
pixel_scale_arcsec = {scale}
size_px = [{ny}, {nx}]
[grid.centres]
{centres}
"""


def make(folder: Path) -> Site:
    """Make a site with two tiles in the science database, and the frames that they came from."""
    inputs = frozen.make_inputs(folder / "drawn")
    ny, nx = frozen.PIXELS
    centres = "\n".join(f'"{tile}" = [{ra}, {dec}]' for tile, (ra, dec) in frozen.CENTRES.items())
    survey = folder / "survey.toml"
    survey.write_text(
        _SURVEY.format(scale=frozen.SCALE_ARCSEC, ny=ny, nx=nx, centres=centres), encoding="utf-8"
    )
    site = init_site(folder / "site", survey)
    for tile in inputs.tiles:
        enter(site, tile.name, 1, (tile.objects, tile.detections, tile.tiles), tile.coadds)
    return site


def enter(
    site: Site,
    tile: str,
    version: int,
    tables: Sequence[Path],
    coadds: dict[str, Path],
    code: str = "1",
) -> None:
    """Commit a version of a tile's tables, with a frame in each band and a coadd of it."""
    with site.ledger.write() as conn:
        sources = []
        for band, source in coadds.items():
            name = f"{tile}.{band}.frame"
            if version == 1:
                ra, dec = frozen.CENTRES[tile]
                frame = facts(name, "science", ra=ra, band=band, dec_deg=dec)
                raw = frames.add(conn, frame, (tile,))
                reduced = products.NewProduct("reduced", name, 1, data_hash=name)
                products.insert(conn, reduced, [(raw, "input")])
            path = paths.coadd(tile, band, version)
            _, checksum, _ = _place(site, source, path)
            new = products.NewProduct(
                "coadd", coadd_key(tile, band), version, path=str(path), checksum=checksum
            )
            made = products.current(conn, "reduced", name)
            sources.append((products.insert(conn, new, [(made["id"], "input")]), "input"))
        steps = registry(site.survey)
        for step in ("dual", "calibrate", "valueadded"):
            spec = steps[step]
            new = products.NewProduct(
                spec.kind, tile, version, settings_hash=spec.settings_hash, code_version=code
            )
            sources.append((products.insert(conn, new), "input"))
        files = [
            _place(site, source, paths.science(tile, version, table))
            for table, source in zip(("objects", "detections", "tiles"), tables)
        ]
        new = products.NewProduct(
            "science",
            tile,
            version,
            path=files[0][0],
            files=tuple(files),
            data_hash=f"{version:064d}",
            settings_hash=steps["load"].settings_hash,
            code_version=code,
        )
        products.insert(conn, new, sources)


def _place(site: Site, source: Path, path: Path) -> products.File:
    target = site.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return str(path), sha256_of(target), target.stat().st_size


def clone(site: Path, target: Path) -> Path:
    """Copy a site; what is damaged in the copy stays whole in the original."""
    shutil.copytree(site, target, symlinks=True, copy_function=_copy)
    return target


def _copy(source: str, target: str) -> None:
    """Files of releases and ledgers are spoiled by tests: they are copied, others linked."""
    if "/releases/" in source or "ledger" in Path(source).name:
        shutil.copyfile(source, target)
    else:
        os.link(source, target)
