"""Themes, static files, errors and headers that both portals share."""

from __future__ import annotations

import re

import httpx
import pytest

from tesela.web.shared import assets
from tesela.web.shared.pages import Pages
from tesela.web.shared.security import allowed_hosts, policy


def test_static_files_have_an_address_for_each_content(client: httpx.Client) -> None:
    found = re.search(r'href="(/static/tokens\.css\?v=[0-9a-f]+)"', client.get("/").text)
    assert found is not None
    answer = client.get(found[1])
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert client.get("/static/tokens.css?v=other").headers["cache-control"] == "no-cache"


def test_a_theme_is_kept_in_a_cookie_and_leads_back(client: httpx.Client) -> None:
    answer = client.post("/theme", data={"theme": "dark", "back": "/dr2/search?pos=1+2"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dr2/search?pos=1+2"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    client.cookies.clear()
    text = client.get("/", headers={"Cookie": "tesela-theme=dark"}).text
    assert 'data-theme="dark"' in text
    assert "data-theme" not in client.get("/", headers={"Cookie": "tesela-theme=<x>"}).text


@pytest.mark.parametrize("back", [
    "https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)",
    "/a\nb", "",
])  # fmt: skip
def test_a_theme_never_leads_elsewhere(client: httpx.Client, back: str) -> None:
    answer = client.post("/theme", data={"theme": "light", "back": back})
    assert answer.headers["location"] == "/"
    client.cookies.clear()


def test_an_endless_form_is_cut(client: httpx.Client) -> None:
    assert client.post("/theme", content=b"x" * 100_000).status_code == 413


def test_other_methods_are_refused_with_a_page(client: httpx.Client) -> None:
    answer = client.post("/dr2/")
    assert answer.status_code == 405
    assert "POST is not possible here" in answer.text


def test_packages_are_served_only_as_pinned(client: httpx.Client, packages: None) -> None:
    answer = client.get("/static/vendor/htmx.min.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert client.get("/static/vendor/axe.min.js").status_code == 404
    assert client.get("/static/vendor/MANIFEST.json").status_code == 404
    assert client.get("/static/vendor/..%2F..%2Fsecret").status_code == 404
    kept = assets.available()["htmx.min.js"]
    content = kept.read_bytes()
    try:
        kept.write_bytes(content + b"//")
        assert client.get("/static/vendor/htmx.min.js").status_code == 404
    finally:
        kept.write_bytes(content)


def test_policies_differ_in_the_sky_viewer_alone() -> None:
    assert "unsafe" not in policy()
    assert "'wasm-unsafe-eval'" in policy(sky_viewer=True)
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy(sky_viewer=True)


def test_hosts_are_the_loopback_and_what_is_configured() -> None:
    assert allowed_hosts(["https://archive.example:8443/x", "", "no address"])[3:] == [
        "archive.example"
    ]


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    from jinja2 import UndefinedError

    environment = Pages("archive", "t").environment
    with pytest.raises(UndefinedError):
        environment.from_string("{{ nothing_of_that_name }}").render()
    assert environment.from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"
