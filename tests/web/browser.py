"""Pages in a real browser: nothing may leave this machine, nothing may fail, axe finds nothing."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp

from tesela.web.shared import assets

FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
"""Drawing in software, and no service of the browser's own that asks the network."""

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LIGHT, DARK, NARROW = ("light", 1280), ("dark", 1280), ("light", 420)
LOOKS = (LIGHT, DARK, NARROW)
"""Theme and width of the window in which every page is judged."""


def chromium_path() -> str:
    """The browser of the machine; skips the test if there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no chromium on this machine: pages are tested without a browser")
    return found


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application on a free port of the loopback; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@dataclass
class Seen:
    """What went wrong on a page."""

    outside: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def require_nothing(self) -> None:
        """Fail with everything that was seen."""
        assert not self.outside, f"asked for {self.outside}"
        assert not self.failed, f"failed: {self.failed}"
        assert not self.console, f"console: {self.console}"


@dataclass
class Opened:
    """A page and what was seen of it."""

    page: Any
    seen: Seen

    def judge(self) -> None:
        """Require that nothing went wrong and that axe finds nothing."""
        self.seen.require_nothing()
        found = violations(self.page)
        assert not found, "\n".join(found)

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Wait until JavaScript is true, without `eval` in the page, which its policy forbids."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(condition):
            if time.monotonic() > end:
                raise AssertionError(f"{condition} did not become true in {seconds} s: {self.seen}")
            self.page.wait_for_timeout(100)

    def picture(self, path: Path) -> None:
        """Write a screenshot of the whole page."""
        self.page.screenshot(path=str(path), full_page=True)


def violations(page: Any) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and good practice, with everything unfolded."""
    source = assets.available(assets.TESTS).get("axe.min.js")
    if source is None:
        pytest.skip("axe-core is not here and could not be fetched")
    page.evaluate(source.read_text(encoding="utf-8"))
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    result = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [
        f"{v['id']} ({v['impact']}): {node['target']} {node['failureSummary']}"
        for v in result["violations"]
        for node in v["nodes"]
    ]


Opener = Callable[..., Any]


@contextmanager
def opened(
    browser: Any,
    url: str,
    look: tuple[str, int] = LIGHT,
    *,
    javascript: bool = True,
    expect: int = 200,
    may_miss: str = "",
) -> Iterator[Opened]:
    """Open a page; whatever it asks of another machine is refused and remembered.

    `may_miss` is a pattern of addresses that may answer 404: a sky viewer asks for pictures beside
    the coverage until it knows it.
    """
    theme, width = look
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        java_script_enabled=javascript,
        reduced_motion="reduce",
    )
    page, seen = context.new_page(), Seen()

    def gate(route: Any) -> None:
        if route.request.url.startswith(
            ("http://127.0.0.1:", "http://localhost:", "data:", "blob:")
        ):
            route.continue_()
        else:
            seen.outside.append(route.request.url)
            route.abort()

    def answered(response: Any) -> None:
        missing = response.status == 404 and may_miss and re.search(may_miss, response.url)
        expected = response.url == url and response.status == expect
        if response.status >= 400 and not expected and not missing:
            seen.failed.append(f"{response.status} {response.url}")

    def said(message: Any) -> None:
        # The browser itself reports answers of 4xx, which `answered` judges.
        if message.type == "error" and "the server responded with a status of" not in message.text:
            seen.console.append(message.text)

    page.route("**/*", gate)
    page.on("response", answered)
    page.on("console", said)
    page.on("pageerror", lambda error: seen.console.append(str(error)))
    try:
        answer = page.goto(url, wait_until="load")
        assert answer is not None
        assert answer.status == expect, f"{url} answered {answer.status}"
        yield Opened(page, seen)
    finally:
        context.close()
