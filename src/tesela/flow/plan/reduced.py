"""What the image of a frame is made from: the raw frame, its calset, the reference catalogue.

The same for every profile of the reduction; the profile is the kind of the product.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan import master_images
from tesela.flow.plan.batch import Known
from tesela.flow.plan.choice import choose_calset, recorded_calset
from tesela.flow.plan.reference import reference
from tesela.flow.plan.rules import PROFILE_OF, Rules
from tesela.flow.plan.wanted import Wanted
from tesela.ledger.keys import Configuration
from tesela.ledger.tasks import Due

SECONDS_A_DAY = 86400.0


def wanted(conn: Connection, rules: Rules, item: Due, known: Known) -> Wanted:
    """Say what the image of one frame, of the profile `item.kind`, should be made from."""
    frame, current = known.frame, known.current
    if frame is None:
        return Wanted(nothing=f"there is no frame {item.key}")
    flagged = frame["flagged"]
    if flagged is not None:
        reason = f"flagged by {flagged['who']}: {flagged['reason']}"
        return Wanted(keep=True) if current is not None else Wanted(nothing=reason)
    is_new = item.kind == "detrended" and current is None
    if is_new and not master_images.is_needed(conn, rules, frame):
        return Wanted(keep=True)
    configuration = Configuration(*frame["configuration"].split("."))
    family = str(configuration.detector)
    profile = PROFILE_OF[item.kind]
    chosen = choose_calset(
        known.shelf,
        rules,
        rules.corrections(profile, configuration),
        configuration,
        mjd_mid(frame),
        recorded=None if item.fresh else recorded_calset(conn, current, profile),
        profile=profile,
    )
    refcat, refcat_missing, refcat_stale = reference(known.shelf, rules, item, current)
    missing = "; ".join(part for part in (chosen.missing, refcat_missing) if part)
    if missing:
        pending = chosen.pending and not refcat_missing
        return Wanted(missing=missing, pending=pending, family=family)
    calset = () if chosen.calset_id is None else (chosen.calset_id,)
    return Wanted(
        inputs=frozenset({frame["product_id"], *calset, *refcat}),
        megapixels=frame["nx"] * frame["ny"] / 1e6,
        stale="; ".join(part for part in (chosen.stale, refcat_stale) if part),
        family=family,
    )


def mjd_mid(frame: dict[str, Any]) -> float:
    """Return the middle of a frame's exposure."""
    return float(frame["mjd_start"] + frame["exptime_s"] / 2 / SECONDS_A_DAY)
