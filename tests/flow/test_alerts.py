"""Telling a person, and a log that programs read."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tesela.config import Alerts as Settings
from tesela.flow.run.alerts import Alerts
from tesela.flow.run.controller import Controller
from tesela.flow.run.journal import Journal

from . import toys

KEEP = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read() + b'\\n')"


def command(file: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", KEEP, str(file))


def told(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_command_gets_the_alert(tmp_path: Path) -> None:
    file = tmp_path / "told"
    alerts = Alerts(Settings(command=command(file)), "core", Journal(None))
    alerts.tell("task dead", "reduce a: no stars")
    alerts.close()
    assert told(file) == [
        {"site": "core", "sort": "task dead", "n": 1, "texts": ["reduce a: no stars"]}
    ]


def test_alerts_of_a_sort_come_together_and_sorts_do_not_wait_for_each_other(
    tmp_path: Path,
) -> None:
    file, now = tmp_path / "told", [0.0]
    settings = Settings(command=command(file), at_most_every_s=60.0)
    alerts = Alerts(settings, "core", Journal(None), lambda: now[0])
    for n in range(4):
        alerts.tell("task dead", f"task {n}")
    alerts.tell("disk low", "full")
    now[0] = 61.0
    alerts.flush()
    alerts.close()
    found = sorted(((one["sort"], one["n"]) for one in told(file)), key=str)
    assert found == [("disk low", 1), ("task dead", 1), ("task dead", 3)]


def test_what_nobody_asked_for_is_not_told(tmp_path: Path) -> None:
    file = tmp_path / "told"
    settings = Settings(command=command(file), on=("disk low",))
    alerts = Alerts(settings, "core", Journal(None))
    alerts.tell("task dead", "x")
    alerts.close()
    assert not file.exists()


def test_an_alert_is_posted(tmp_path: Path) -> None:
    got: list[dict[str, object]] = []

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Post)
    thread = threading.Thread(target=server.handle_request, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/alert"
    alerts = Alerts(Settings(url=url), "core", Journal(tmp_path))
    alerts.tell("disk low", "2 GiB free")
    alerts.close()
    thread.join(5)
    server.server_close()
    assert got == [{"site": "core", "sort": "disk low", "n": 1, "texts": ["2 GiB free"]}]


@pytest.mark.parametrize(
    "settings",
    [
        Settings(command=("/no/such/program",)),
        Settings(command=(sys.executable, "-c", "raise SystemExit(3)")),
        Settings(url="http://127.0.0.1:9/closed"),
    ],
    ids=["no program", "a program that fails", "nobody listens"],
)
def test_an_alert_that_cannot_be_sent_stops_nothing_and_is_written_down(
    tmp_path: Path, settings: Settings
) -> None:
    alerts = Alerts(settings, "core", Journal(tmp_path))
    alerts.tell("disk low", "full")
    alerts.close()
    lines = [json.loads(line) for file in tmp_path.iterdir() for line in file.open()]
    assert [line["what"] for line in lines] == ["alert", "alert not sent"]


def test_a_run_writes_a_line_for_each_task_and_tells_of_the_dead(tmp_path: Path) -> None:
    site, file = tmp_path / "site", tmp_path / "told"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    plain = toys.controller(ledger, site, settings={"faults": {"sci2": "fault"}})
    journal = Journal(site / "logs")
    said = (journal, Alerts(Settings(command=command(file)), "core", journal))
    control = Controller(site, ledger, plain.rules, plain.registry, plain.engine, said=said)
    summary = control.run()
    lines = [json.loads(line) for f in (site / "logs").iterdir() for line in f.open()]
    whats = [line["what"] for line in lines]
    assert whats.count("task done") == summary.done
    assert whats.count("task failed") == 3
    assert whats[-1] == "controller ended"
    assert {"at", "host", "pid", "step", "key", "attempt", "seconds"} <= set(
        next(line for line in lines if line["what"] == "task done")
    )
    assert [(one["sort"], one["n"]) for one in told(file)] == [("task dead", 1)]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Journal(tmp_path / "file" / "logs").write("x", value=float("nan"))
