"""Why a product is due, waits or is as it is; and why this calibration and not the others."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import NotFound
from tesela.flow.plan import coadds, master_frames, master_images, tile_products
from tesela.flow.plan.choice import Choice, choose, missing_sentence, recorded_calset
from tesela.flow.plan.quick_words import numbers
from tesela.flow.plan.reduced import mjd_mid
from tesela.flow.plan.rules import Need, Rules
from tesela.flow.plan.shelf import Shelf
from tesela.ledger import calsets, exposures, frames, products, replicas, status, tasks, verdicts
from tesela.ledger import masters as master_rows
from tesela.ledger.clock import iso
from tesela.ledger.keys import Configuration, MasterKey
from tesela.products.masterkind import FULL, IMAGES, KINDS, QUICK, STANDS_IN
from tesela.products.validity import Validity

EXPLAINED = (
    "raw", "master", "quicklook", "detrended", "reduced", "coadd", "catalogue",
    *tile_products.KINDS, "release", "calset", "refcat",
)  # fmt: skip


def explain(conn: Connection, rules: Rules, key: str) -> dict[str, Any]:
    """Explain everything called `key`: its state, and the choices behind it.

    Returns a table with `state` (a line a kind), and for a frame `calibrations`, for an exposure,
    a coadd or a master `frames`, for a release `tiles`, for a file that was not taken in `refused`.
    """
    kinds = [kind for kind in EXPLAINED if _is_known(conn, kind, key)]
    if not kinds and (exposure := exposures.find(conn, key)) is not None:
        return _of_exposure(conn, exposure)
    if not kinds and (refused := frames.refusals(conn, key)):
        said = [f"refused {iso(row['at_mjd'])}, {row['path']}: {row['reason']}" for row in refused]
        return {"key": key, "state": said, "refused": refused}
    if not kinds:
        raise NotFound(
            key,
            found="no frame, exposure, product or refused file of that name",
            expected="a frame, an exposure, a master's key, a tile, <tile>.<band> or a release",
            do="see `tesela status`",
        )
    answer: dict[str, Any] = {"key": key, "state": []}
    if products.current(conn, "reduced", key) is not None and "quicklook" in kinds:
        kinds.remove("quicklook")  # the reduction says it better
    if set(kinds) <= {"raw", "quicklook"} and frames.get(conn, key)["obstype"] == "science":
        kinds.append("reduced")
    for kind in kinds:
        answer["state"] += state_lines(conn, kind, key)
    if "raw" in kinds and frames.get(conn, key)["obstype"] == "science":
        answer["calibrations"] = calibrations(conn, rules, key)
    if "coadd" in kinds:
        answer["frames"] = [_coadd_line(c) for c in coadds.candidates(conn, key)]
    if "master" in kinds:
        answer["frames"] = _master_lines(conn, rules, MasterKey.parse(key))
    if "release" in kinds:
        answer["tiles"] = _release_lines(conn, key)
    return answer


def _of_exposure(conn: Connection, exposure: dict[str, Any]) -> dict[str, Any]:
    """Which frames of it are here, and where each stands."""
    here = exposures.frames_of(conn, exposure["id"])
    absent = exposures.missing(exposure, here)
    of = f" of {len(exposure['ccds'])}" if exposure["ccds"] else ""
    said = [f"exposure: {len(here)}{of} CCDs here" + (f", no {', '.join(absent)}" * bool(absent))]
    judged = verdicts.standing(conn, exposures.KIND, exposure["key"])
    if judged is not None:
        said.append(f"exposure: flagged by {judged['who']}: {judged['reason']}")
    kinds = ("raw", "reduced") if exposure["obstype"] == "science" else ("raw",)
    return {
        "key": exposure["name"],
        "state": said,
        "frames": [
            {
                "frame": row["name"],
                "state": " ".join(filter(None, ("CCD", row["ccd"], row["band"], _serial(row)))),
                "reason": "; ".join(
                    line
                    for kind in kinds
                    for line in state_lines(conn, kind, row["name"])
                    if line != "raw: version 1 is current"  # of a raw frame there is no other
                ),
            }
            for row in here
        ],
    }


def _serial(row: dict[str, Any]) -> str:
    return f"({row['filter_serial']})" if row["filter_serial"] not in ("", "-") else ""


def _is_known(conn: Connection, kind: str, key: str) -> bool:
    return (
        products.next_version(conn, kind, key) > 1
        or tasks.get(conn, kind, key) is not None
        or tasks.waiting(conn, kind, key) is not None
        or tasks.dirty(conn, kind, key) is not None
    )


def state_lines(conn: Connection, kind: str, key: str) -> list[str]:
    """Say of one product whether it is served, due, waiting, failed, stale, flagged."""
    lines = []
    current = products.current(conn, kind, key)
    if current is not None:
        lines.append(f"{kind}: version {current['version']} is current")
        if current["stale"]:
            lines.append(f"{kind}: stale, {current['stale']}")
        quality = products.quality_of(conn, current["id"])
        if quality is not None and kind == QUICK:
            found = ", ".join(numbers(json.loads(quality["metrics_json"])))
            lines += [f"{kind}: {found}"] if found else []
        if quality is not None and not quality["passed"]:
            lines.append(f"{kind}: did not pass: {quality['reason']}")
        lines += [f"{kind}: warning: {text}" for text in json.loads(current["warnings_json"])]
        lines += _file_lines(conn, kind, current)
    elif products.next_version(conn, kind, key) > 1:
        lines.append(f"{kind}: no current version, the last was retired")
    if (verdict := verdicts.standing(conn, kind, key)) is not None:
        note = f" ({verdict['comment']})" if verdict["comment"] else ""
        lines.append(f"{kind}: flagged by {verdict['who']}: {verdict['reason']}{note}")
    if (dirty := tasks.dirty(conn, kind, key)) is not None:
        lines.append(f"{kind}: to be looked at: {dirty['why']}")
    if (waits := tasks.waiting(conn, kind, key)) is not None:
        lines.append(f"{kind}: waits for {waits['reason']}")
    if (task := tasks.get(conn, kind, key)) is not None and task["state"] != "done":
        because = task["reason"] or task["why"]
        remedy = f"; {status.advice(key)}" if task["state"] in ("dead", "skipped") else ""
        lines.append(f"{kind}: task {task['state']}: {because}{remedy}")
    return lines


def _file_lines(conn: Connection, kind: str, current: dict[str, Any]) -> list[str]:
    """Where the file of a product is, if not here alone."""
    copies = replicas.of_product(conn, current["id"])
    at = ", ".join(f"{copy['site']} ({iso(copy['verified_mjd'])})" for copy in copies)
    lines = [f"{kind}: verified copies at {at}"] if at else []
    if current["dropped_mjd"] is not None:
        lines.append(f"{kind}: its file was removed here on purpose {iso(current['dropped_mjd'])}")
    return lines


def calibrations(conn: Connection, rules: Rules, name: str) -> list[dict[str, Any]]:
    """Return, for each kind of master, the chosen one and every rejected with its reason."""
    frame = frames.get(conn, name)
    configuration = Configuration(*frame["configuration"].split("."))
    recorded = recorded_calset(conn, products.current(conn, "reduced", name), FULL)
    members = [] if recorded is None else calsets.members(conn, recorded)
    return [
        _explain_choice(conn, rules, need, (configuration, mjd_mid(frame)), members)
        for need in rules.corrections(FULL, configuration)
    ]


def _explain_choice(
    conn: Connection,
    rules: Rules,
    need: Need,
    of: tuple[Configuration, float],
    members: list[dict[str, Any]],
) -> dict[str, Any]:
    kind, (configuration, mjd) = need.master_kind, of
    choice = choose(Shelf(conn), rules, kind, configuration, mjd)
    chosen = choice.master
    kinds = (kind, STANDS_IN[kind]) if kind in STANDS_IN else (kind,)
    in_use = [
        f"{m['key']} version {m['version']}" for m in members if m["key"].partition(".")[0] in kinds
    ]
    rejected = []
    for one in kinds:
        own = configuration.for_kind(one)
        for row in master_rows.candidates(conn, one, own.telescope, own.camera):
            if chosen is not None and row["product_id"] == chosen["product_id"]:
                continue
            reason = rejection(rules, row, own, mjd, choice)
            rejected.append({"key": row["key"], "version": row["version"], "reason": reason})
    return {
        "master_kind": kind,
        "is_required": need.is_required,
        "chosen": None if chosen is None else f"{chosen['key']} version {chosen['version']}",
        "distance_days": choice.distance_days,
        "crosses": choice.crosses,
        "stands_in": choice.stands_in,
        "in_use": in_use[0] if in_use else None,
        "waits_for": missing_sentence(rules, configuration, choice)
        if need.is_required or choice.waits_for
        else "",
        "rejected": rejected,
    }


def rejection(
    rules: Rules, row: dict[str, Any], own: Configuration, mjd: float, choice: Choice
) -> str:
    """Say why a master was not chosen for a configuration and an instant."""
    theirs = Configuration(*row["configuration"].split("."))
    for field, word in (
        ("ccd", "CCD"),
        ("filter", "filter"),
        ("readout_mode", "read-out mode"),
    ):
        if getattr(theirs, field) != getattr(own, field):
            return f"other {word}: {getattr(theirs, field)}, not {getattr(own, field)}"
    if row["state"] != "certified":
        return row["state"] + (f": {row['reason']}" if row["reason"] else "")
    kind = row["master_kind"]
    if choice.master is not None and kind != choice.master["master_kind"]:
        return f"only stands in where there is no {choice.master['master_kind']}"
    away = Validity(row["valid_begin"], row["valid_end"]).distance(mjd)
    between = rules.calendar.crossed(kind, own.camera, row["valid_begin"], mjd)
    if between and (choice.master is None or not choice.crosses):
        return f"of another epoch: {between} lies between"
    if choice.master is not None:
        chosen_away = choice.distance_days
        return f"outside its validity by {away:.2f} d, the chosen by {chosen_away:.2f} d"
    reach = rules.fallback_days(kind)
    return f"outside its validity by {away:.2f} d, beyond the {reach:g} d allowed"


def _coadd_line(candidate: coadds.Candidate) -> dict[str, str]:
    if candidate.awaited:
        return {"frame": candidate.name, "state": "awaited", "reason": candidate.awaited}
    if candidate.reduced_id is None:
        return {"frame": candidate.name, "state": "left out", "reason": candidate.excluded}
    return {"frame": candidate.name, "state": "used", "reason": ""}


def _master_lines(conn: Connection, rules: Rules, key: MasterKey) -> list[dict[str, str]]:
    """Every frame that could be in a master, and whether it is in the current version."""
    if KINDS[key.master_kind].source == IMAGES:
        lines = [_image_line(one) for one in master_images.candidates(conn, rules, key)]
    else:
        found = master_frames.frames_of(conn, rules, key)
        names = {row["name"] for row in master_frames.usable_frames(rules, key, found)}
        lines = [_frame_line(row, row["name"] in names) for row in found]
    current = products.current(conn, "master", str(key))
    if current is None:
        return [{**line, "state": _UNUSED.get(line["state"], line["state"])} for line in lines]
    quality = products.quality_of(conn, current["id"]) or {"metrics_json": "{}"}
    rejected = json.loads(quality["metrics_json"]).get("rejected") or {}
    return [
        {**line, "state": "left out", "reason": rejected[line["frame"]]}
        if line["frame"] in rejected
        else line
        for line in lines
    ]


_UNUSED = {"used": "candidate"}
"""Without a master nothing is used yet; its builder may still leave frames out."""


def _frame_line(row: dict[str, Any], is_usable: bool) -> dict[str, str]:
    reason = "" if is_usable else f"flagged: {row['flagged']}" if row["flagged"] else "not needed"
    return {
        "frame": row["name"],
        "state": "used" if is_usable else "left out",
        "reason": reason,
    }


def _image_line(one: master_images.Candidate) -> dict[str, str]:
    state = "awaited" if one.awaited else "left out" if one.excluded else "used"
    return {"frame": one.name, "state": state, "reason": one.excluded}


def _release_lines(conn: Connection, name: str) -> list[dict[str, Any]]:
    """Which version of each tile's tables a release holds, and which is current now."""
    release = products.current(conn, "release", name)
    held = products.inputs(conn, release["id"]) if release else []
    return [
        {"tile": row["key"], "version": row["version"], "current": now["version"] if now else None}
        for row in sorted(held, key=lambda row: str(row["key"]))
        if row["kind"] == "science"
        for now in [products.current(conn, "science", row["key"])]
    ]
