"""Flags, late frames and their consequences: exactly what used a frame is made again."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io import fits

from tesela.flow.plan import tile_products
from tesela.flow.plan.downstream import PLANNED
from verbs import well

from .ledgers import (
    Key,
    ancestors,
    ask,
    assert_nothing_left_over,
    clone,
    current,
    fresh,
)

pytestmark = pytest.mark.night

OF_TILES = ("coadd", "catalogue", *tile_products.KINDS)
_OF_BANDS = ("BADPIXEL", "CROSSTALK")


def users(site: Path, frame: str) -> set[Key]:
    """What was made, directly or not, from a raw frame: brute force over all edges."""
    return {
        product
        for product, above in ancestors(site).items()
        if ("raw", frame) in above and product[0] in PLANNED and product != ("reduced", frame)
    }


def due_again(data: dict[str, list[dict[str, str]]]) -> set[Key]:
    """What a verb says it makes due: to be made again, or retired."""
    return {(row["kind"], row["key"]) for row in of_flag(data)}


def of_flag(data: dict[str, list[dict[str, str]]]) -> list[dict[str, str]]:
    return [row for name in ("due_again", "retired", "waiting") for row in data[name]]


def changed(before: dict[Key, int], after: dict[Key, int]) -> set[Key]:
    """Products of which another version is served."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def test_flag_names_exactly_the_users_of_every_frame(done: Path) -> None:
    frames = [key for kind, key in current(done, "id") if kind == "raw"]
    assert len(frames) == 4 + 2 * 3 + 12
    for frame in frames:
        said = well("flag", frame, "--reason", "clouds", "--dry-run", "--site", done, "--json").data
        assert due_again(said) == users(done, frame), frame
        assert users(done, frame), frame
    assert ask(done, "SELECT * FROM verdict") == []


def test_flag_and_unflag_remake_the_same_tiles_and_end_where_they_began(
    done: Path, tmp_path: Path
) -> None:
    site = clone(done, tmp_path / "site")
    frame = min(
        (key for kind, key in ancestors(site) if kind == "reduced"),
        key=lambda name: (len(users(site, name)), name),
    )
    expected = users(site, frame)
    assert {kind for kind, _ in expected} == set(OF_TILES)
    first, hashes = current(site, "version"), current(site, "data_hash")

    well("flag", frame, "--reason", "clouds", "--site", site)
    well("run", "--site", site, "--workers", 2)
    flagged = current(site, "version")
    assert changed(first, flagged) == expected
    assert not any(("raw", frame) in above for key, above in ancestors(site).items()
                   if key[0] in OF_TILES)  # fmt: skip

    said = well("unflag", frame, "--site", site, "--json").data
    assert due_again(said) == expected
    well("run", "--site", site, "--workers", 2)
    assert changed(flagged, current(site, "version")) == expected
    assert current(site, "data_hash") == hashes
    assert_nothing_left_over(site)


def test_a_frame_flagged_before_its_first_coadd_and_one_that_comes_late(
    night: Path, done: Path, tmp_path: Path
) -> None:
    site = fresh(tmp_path / "site", night)
    # One band will do: frames of the other are not taken in.
    raws = [
        path
        for path in sorted((night / "raw").glob("*.fits"))
        if fits.getheader(path).get("FILTER", "rSDSS") == "rSDSS"
    ]
    bands = {path.stem for path in raws}
    science = sorted(key for kind, key in ancestors(done) if kind == "reduced" and key in bands)
    bad, late = science[0], science[-1]
    well("ingest", *(path for path in raws if path.stem != late), "--site", site)
    said = well("flag", bad, "--reason", "clouds", "--site", site, "--json").data
    assert due_again(said) == set()
    well("run", "--site", site, "--workers", 2)
    above = ancestors(site)
    used = {frame for key in above for kind, frame in above[key] if key[0] == "coadd"}
    assert bad not in used
    first = current(site, "version")

    unflagged = due_again(well("unflag", bad, "--site", site, "--json").data)
    assert unflagged == users(done, bad)
    well("ingest", *raws, "--site", site)
    well("run", "--site", site, "--workers", 2)
    after = current(site, "version")
    again = changed(first, after)
    # The late frame's tiles, and those of the frame that is good again: each once, no other.
    assert {key for key in again if key[0] in OF_TILES} == unflagged | {
        key for key in users(done, late) if key[0] in OF_TILES
    }
    assert all(after[key] == 2 for key in again if key[0] in OF_TILES)
    others = {key for key in again if key[0] in ("master", "calset", "refcat")}
    # More science frames are more evidence of the crosstalk, which has not enough yet.
    assert {key for _, key in others if not key.startswith("CROSSTALK.")} == set()
    # Products of whole tiles hold all bands: with one band they are others.
    undisturbed = current(done, "data_hash")
    found = current(site, "data_hash")
    here = {key: found[key] for key in found if key[0] not in tile_products.KINDS}
    assert found.keys() - here.keys() == {
        (kind, tile) for kind in tile_products.KINDS for tile in ("SIM-00001", "SIM-00002")
    }
    assert here.keys() < undisturbed.keys()
    # And so do the masters that are for every filter of a CCD.
    here = {key: value for key, value in here.items() if key[1].partition(".")[0] not in _OF_BANDS}
    assert here == {key: undisturbed[key] for key in here}
    assert_nothing_left_over(site)
