"""What `tesela status --night` says: one night, as it is read in the morning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tesela.cli.common import plural, some

_STATES = (
    ("passed", "passed"),
    ("rejected", "did not pass"),
    ("skipped", "skipped"),
    ("dead", "dead"),
    ("waiting", "waiting"),
    ("under way", "under way"),
    ("flagged", "flagged"),
    ("not begun", "not begun"),
)
_WORDS = ("", "warning", "alarm")
_UNITS = {"fwhm_arcsec": "arcsec", "sky_e": "e-", "zeropoint_mag": "mag"}
_NAMES = {"fwhm_arcsec": "seeing", "sky_e": "sky", "zeropoint_mag": "zero point"}
_DIGITS = {"fwhm_arcsec": 2, "sky_e": 0, "zeropoint_mag": 2}


def lines(data: dict[str, Any]) -> Iterator[str]:
    """Say a summary of `ledger.night` for people."""
    yield f"night {data['night']}{_verdict(data['verdict'])}"
    yield from _observed(data)
    yield from _science(data)
    yield from _bands(data["bands"])
    yield from _masters(data)
    yield from _tiles(data["tiles"])
    yield from _work(data["work"])
    yield from some([f"{_WORDS[row['level']]}: {row['reason']}" for row in data["alerts"]])
    if not data["alerts"]:
        yield "monitors: nothing was raised"


def _verdict(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return ""
    comment = f" ({verdict['comment']})" if verdict["comment"] else ""
    return f": FLAGGED by {verdict['who']}: {verdict['reason']}{comment}"


def _observed(data: dict[str, Any]) -> Iterator[str]:
    from tesela.ledger.clock import iso

    rows = data["observed"]
    begin, end = iso(min(row["first"] for row in rows)), iso(max(row["last"] for row in rows))
    open_for = f", {data['open_s'] / 3600.0:.1f} h open on science" if data["open_s"] else ""
    yield f"observed: {begin[:16]} to {end[:16]} UTC{open_for}"
    for obstype in dict.fromkeys(row["obstype"] for row in rows):
        of_type = [row for row in rows if row["obstype"] == obstype]
        frames = sum(row["frames"] for row in of_type)
        bands = [f"{row['band']} {row['frames']}" for row in of_type if row["band"]]
        yield f"  {frames} {obstype}{': ' + ', '.join(bands) if bands else ''}"
    yield from some(
        [
            f"  missing: {row['exposure']}"
            + (f" and {row['n'] - 1} more" if row["n"] > 1 else "")
            + f": {row['arrived']} of {row['expected']} CCDs here, no {', '.join(row['missing'])}"
            for row in data["incomplete"]
        ]
    )


def _science(data: dict[str, Any]) -> Iterator[str]:
    counts = data["science"]
    if not counts:
        return
    said = [f"{counts[state]} {words}" for state, words in _STATES if state in counts]
    yield f"science: {plural(sum(counts.values()), 'frame')}: {', '.join(said)}"
    words = dict(_STATES)
    yield from some(
        [
            f"  {words[row['state']]}: {row['n']} ({row['example']}): {row['reason']}"
            for row in data["reasons"]
        ]
    )


def _bands(bands: list[dict[str, Any]]) -> Iterator[str]:
    for row in bands:
        said = []
        for name, unit in _UNITS.items():
            if row[name] is not None:
                usual = row["survey"][name]
                beside = "" if usual is None else f" ({usual:.{_DIGITS[name]}f})"
                said.append(f"{_NAMES[name]} {row[name]:.{_DIGITS[name]}f}{beside} {unit}")
        if said:
            yield f"{row['band']}: {', '.join(said)}; {plural(row['images'], 'image')}"
    if any(value is not None for row in bands for value in row["survey"].values()):
        yield "  medians; in brackets those of the survey"


def _masters(data: dict[str, Any]) -> Iterator[str]:
    made = ", ".join(f"{row['n']} {row['master_kind']} {row['state']}" for row in data["masters"])
    yield f"masters: {made or 'none of this night'}"
    told = [row for row in data["masters"] if row["state"] != "certified" and row["reason"]]
    yield from some([f"  {row['state']}: {row['example']}: {row['reason']}" for row in told])
    yield from some(
        [f"  {row['state']}: {row['key']}: {row['reason']}" for row in data["masters_missing"]]
    )


def _tiles(tiles: dict[str, int]) -> Iterator[str]:
    if not tiles["coadds"]:
        return
    said = f"{tiles['made']} of {plural(tiles['coadds'], 'coadd')} made"
    if tiles["under_way"]:
        said += f", {tiles['under_way']} under way"
    if tiles["planned"]:
        said += f"; {tiles['complete']} of {tiles['planned']} have all frames that are planned"
    yield f"tiles: {tiles['tiles']} touched: {said}"


def _work(work: dict[str, Any]) -> Iterator[str]:
    if not work["attempts"]:
        yield "work: none yet"
        return
    times = f", {work['begun'][:16]} to {work['ended'][:16]} UTC" if work["ended"] else ""
    failed = sum(row["n"] for row in work["failed"])
    yield (
        f"work: {plural(work['attempts'], 'attempt')} at frames and masters, "
        f"{work['core_hours']:.1f} core hours{times}; {failed} failed"
    )
    yield from some(
        [
            f"  {row['n']} {row['fault_class'] or 'failed'}: {row['step']} {row['example']}"
            + (f": {row['said']}" if row["said"] else "")
            for row in work["failed"]
        ]
    )
