"""The tables. Columns ending in `_json` hold JSON text; times are MJD, UTC (days).

what exists          exposure, frame, frame_tile, tile, refcat, project, master, planned
what was made        product, edge, settings, environment
what is known of it  quality, amp_quality, verdict, event, refused, replica, tally
what is to be done   step, step_settings, paused, dirty, waiting, task, task_input, attempt,
                     controller
who and where        account, access_token, member, shipment
"""

from tesela.ledger.schema.archive import (
    edge,
    environment,
    exposure,
    frame,
    frame_tile,
    master,
    planned,
    product,
    project,
    refcat,
    settings,
    tile,
)
from tesela.ledger.schema.base import metadata
from tesela.ledger.schema.known import (
    amp_quality,
    event,
    quality,
    refused,
    replica,
    shipment,
    tally,
    verdict,
)
from tesela.ledger.schema.people import access_token, account, member
from tesela.ledger.schema.work import (
    attempt,
    controller,
    dirty,
    paused,
    step,
    step_settings,
    task,
    task_input,
    waiting,
)

__all__ = [
    "access_token",
    "account",
    "amp_quality",
    "attempt",
    "controller",
    "dirty",
    "edge",
    "environment",
    "event",
    "exposure",
    "frame",
    "frame_tile",
    "master",
    "member",
    "metadata",
    "paused",
    "planned",
    "product",
    "project",
    "quality",
    "refcat",
    "refused",
    "replica",
    "settings",
    "shipment",
    "step",
    "step_settings",
    "tally",
    "task",
    "task_input",
    "tile",
    "verdict",
    "waiting",
]
