"""Settings of a step that differ by camera, project and observation type."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tesela import config
from tesela.errors import ConfigError
from tesela.flow.plan import reprocess
from tesela.flow.run import overrides
from tesela.flow.run.bodies import quicklook_step, registry
from tesela.flow.run.overrides import Layer
from tesela.flow.run.steps import Registry
from tesela.ledger import products, status, steps
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Scope

from . import toys

SURVEY = """
name = "two cameras"
cameras = ["t80cam", "jpcam"]

[filters.r]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = 100
centres = { T = [0.0, 0.0] }
[steps.reduce.cosmics]
sigclip = 6
[steps.reduce.sky]
mesh_px = 500
"""


def survey(tmp_path: Path, text: str) -> config.Survey:
    path = tmp_path / "survey.toml"
    path.write_text(SURVEY + text)
    return config.load_survey(path)


def reduce_in(found: config.Survey, *words: str) -> dict[str, Any]:
    """The settings of the reduction in a scope: camera, project, observation type."""
    return registry(found)["reduce"].settings_in(Scope(*words))[0]["stage"]


def test_an_override_is_laid_over_the_settings_of_the_step(tmp_path: Path) -> None:
    found = survey(
        tmp_path,
        """
        [[overrides]]
        step = "reduce"
        camera = "jpcam"
        settings = { cosmics = { sigclip = 5, objlim = 4.0 } }
        """,
    )
    jpcam = reduce_in(found, "jpcam", "survey", "science")
    cosmics = {"enabled": True, "sigclip": 5.0, "sigfrac": 0.3, "objlim": 4.0}
    assert jpcam["cosmics"] == cosmics
    assert jpcam["sky"]["mesh_px"] == 500
    assert reduce_in(found, "t80cam", "survey", "science")["cosmics"]["sigclip"] == 6.0
    both = registry(found)
    assert both["detrend"].settings_in(Scope("jpcam", "x", "science"))[0]["stage"] == jpcam
    assert both["master"].overrides == both["coadd"].overrides == ()


def test_the_quick_look_of_a_project_may_differ(tmp_path: Path) -> None:
    found = survey(
        tmp_path,
        """
        [[overrides]]
        step = "quicklook"
        project = "focus"
        settings.threshold_sigma = 20
        """,
    )
    step = quicklook_step(found, 1)
    usual, its_hash = step.settings_in(Scope("t80cam", "survey", "science"))
    focus, focus_hash = step.settings_in(Scope("t80cam", "focus", "science"))
    assert focus["stage"]["threshold_sigma"] == 20 != usual["stage"]["threshold_sigma"]
    assert focus_hash != its_hash == step.settings_hash


def test_the_most_specific_wins_then_the_later(tmp_path: Path) -> None:
    one = '[[overrides]]\nstep = "reduce"\n{names}\nsettings.cosmics.sigclip = {value}\n'
    asked = [
        ('camera = "jpcam"\nproject = "J-PAS deep"', 1),
        ('camera = "jpcam"', 2),
        ('project = "J-PAS deep"', 3),
        ('obstype = "science"\ncamera = "jpcam"', 4),
    ]
    found = survey(tmp_path, "".join(one.format(names=n, value=v) for n, v in asked))

    def sigclip(camera: str, project: str) -> float:
        scope = Scope.of(camera, project, "science")
        settings = registry(found)["reduce"].settings_in(scope)[0]
        return float(settings["stage"]["cosmics"]["sigclip"])

    assert sigclip("t80cam", "survey") == 6.0
    assert sigclip("t80cam", "J-PAS deep") == 3.0
    assert sigclip("jpcam", "J-PAS deep") == 4.0  # two words each: the later
    assert sigclip("jpcam", "survey") == 4.0


def test_masters_differ_by_camera_and_by_what_they_are_made_of(tmp_path: Path) -> None:
    found = survey(
        tmp_path,
        """
        [[overrides]]
        step = "master"
        camera = "jpcam"
        obstype = "bias"
        settings.bias.clip_sigma = 3
        """,
    )
    master = registry(found)["master"]
    bias, flat = Scope.of("jpcam", "", "bias"), Scope.of("jpcam", "", "flat")
    assert master.settings_in(bias)[0]["stage"]["bias"]["clip_sigma"] == 3.0
    assert master.settings_in(bias)[0]["minimum"] == master.settings["minimum"]
    assert master.settings_in(flat) == (dict(master.settings), master.settings_hash)


def test_the_hash_is_that_of_the_settings(tmp_path: Path) -> None:
    text = '[[overrides]]\nstep = "reduce"\ncamera = "jpcam"\nsettings.cosmics.sigclip = {}\n'
    jpcam, t80cam = Scope.of("jpcam", "p", "science"), Scope.of("t80cam", "p", "science")
    hashes = {}
    for value in ("5", "5.0", "7", "6"):
        reduce = registry(survey(tmp_path, text.format(value)))["reduce"]
        assert reduce.settings_hash_in(t80cam) == reduce.settings_hash
        hashes[value] = reduce.settings_hash_in(jpcam)
    assert hashes["5"] == hashes["5.0"] != hashes["7"]
    assert hashes["6"] == reduce.settings_hash  # an override that changes nothing


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('step = "reduce"\ncamera = "jpcam"', "overrides.0.: no settings"),
        ('step = "reduce"\ncamera = "jpcam"\nsettings = {}', "settings: none"),
        (
            'step = "coadd"\ncamera = "jpcam"\nsettings.a = 1',
            "'coadd'; expected reduce or master or",
        ),
        (
            'step = "flat"\ncamera = "jpcam"\nsettings.a = 1',
            "'flat'; expected reduce or master or",
        ),
        ('step = "reduce"\nsettings.sky.mesh_px = 9', r"set them in \[steps.reduce\]"),
        (
            'step = "reduce"\ncamera = "cafos"\nsettings.sky.mesh_px = 9',
            r"overrides\[0\].camera: 'cafos'; expected one of t80cam, jpcam",
        ),
        (
            'step = "reduce"\nobstype = "sky"\nsettings.sky.mesh_px = 9',
            r"obstype: 'sky'; expected one of bias, dark, flat, science",
        ),
        (
            'step = "master"\nproject = "p"\nsettings.bias.clip_sigma = 9',
            r"overrides\[0\].project: 'p'; expected none",
        ),
        (
            'step = "reduce"\ncamera = "jpcam"\nsettings.sky.mash_px = 9',
            r"overrides\[0\].settings.sky: unknown setting mash_px",
        ),
        (
            'step = "reduce"\ncamera = "jpcam"\nsettings.sky.mesh_px = "wide"',
            r"overrides\[0\].settings.sky.mesh_px: 'wide'",
        ),
        (
            'step = "reduce"\ncamera = "jpcam"\nsettings.sky = 5',
            r"overrides\[0\].settings.sky: 5; expected a table",
        ),
        ('step = "reduce"\nccd = "01"\nsettings.sky.mesh_px = 9', "unknown setting ccd"),
    ],
)
def test_an_override_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        registry(survey(tmp_path, f"[[overrides]]\n{text}\n"))


def test_layers_change_nothing_below_them() -> None:
    table: Mapping[str, Any] = {"a": {"b": 1, "c": 2}, "d": [1]}
    over = [Layer(Scope("x", "", ""), {"a": {"b": 5}, "d": [2, 3]})]
    assert overrides.laid(table, over) == {"a": {"b": 5, "c": 2}, "d": [2, 3]}
    assert table == {"a": {"b": 1, "c": 2}, "d": [1]}
    assert overrides.laid(table, []) == table


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def ledger(site: Path) -> Ledger:
    """A frame of each of two projects, in tiles of their own."""
    made = toys.new_site(site)
    science = [
        toys.facts("ours", "science", ra=10.2),
        toys.facts("guest", "science", ra=20.2, project="open time"),
    ]
    toys.add_frames(made, site, [*toys.calibration_night(), *science], toys.rules())
    return made


def with_overrides(*layers: Layer) -> Registry:
    """The toy steps with layers over the settings of the reduction."""
    plain = toys.registry({"stage": {}})
    specs = [
        dataclasses.replace(spec, overrides=layers) if spec.name == "reduce" else spec
        for spec in plain.specs.values()
    ]
    return Registry(specs)


GUESTS = Layer(Scope("", "open_time", ""), {"clip": 3.0})


def ran(ledger: Ledger, site: Path, *layers: Layer) -> dict[tuple[str, str], dict[str, Any]]:
    """Settings of what a run does now."""
    control = toys.controller(ledger, site)
    control.registry = with_overrides(*layers)
    control.run()
    return {(order.kind, order.key): dict(order.settings) for order in control.engine.orders}


def stale(ledger: Ledger) -> set[tuple[str, str]]:
    with ledger.read() as conn:
        return {(row["kind"], row["key"]) for row in status.stale(conn)}


def test_an_order_has_the_settings_of_its_frame(ledger: Ledger, site: Path) -> None:
    orders = ran(ledger, site, GUESTS)
    assert orders["reduced", "ours"] == {"stage": {}}
    assert orders["reduced", "guest"] == {"stage": {"clip": 3.0}}
    with ledger.read() as conn:
        rows = {name: products.current(conn, "reduced", name) for name in ("ours", "guest")}
    assert rows["ours"] is not None
    assert rows["guest"] is not None
    assert rows["ours"]["settings_hash"] != rows["guest"]["settings_hash"]
    assert rows["guest"]["scope"] == "toycam.open_time.science"
    assert stale(ledger) == set()


def test_an_override_makes_stale_only_what_it_concerns(ledger: Ledger, site: Path) -> None:
    ran(ledger, site)
    assert ran(ledger, site, GUESTS) == {}
    assert stale(ledger) == {("reduced", "guest")}
    with ledger.write() as conn:
        chosen = reprocess.choose(conn)
        reprocess.reprocess(conn, chosen, "ann")
    assert ("reduced", "guest") in ran(ledger, site, GUESTS)
    assert stale(ledger) == set()
    other = Layer(Scope("", "open_time", ""), {"clip": 4.0})
    ran(ledger, site, other)
    assert stale(ledger) == {("reduced", "guest")}
    ran(ledger, site)
    assert stale(ledger) == {("reduced", "guest")}
    ran(ledger, site, GUESTS)
    assert stale(ledger) == set()


def test_a_changed_override_is_an_event_once(ledger: Ledger, site: Path) -> None:
    from tesela.ledger import events

    for _ in range(2):
        ran(ledger, site, GUESTS)
    ran(ledger, site)
    ran(ledger, site)
    with ledger.read() as conn:
        found = events.history(conn, "reduce")["events"]
    assert [row["what"] for row in found] == ["step changed"]
    assert "for toycam.open_time.science" in found[0]["detail"]


def test_products_of_tiles_have_no_scope(ledger: Ledger, site: Path) -> None:
    ran(ledger, site)
    with ledger.read() as conn:
        assert steps.scope_of(conn, "coadd", "T10.r") is None
        master = steps.scope_of(conn, "master", "FLAT.JAST80.toycam.01.r_R1.fast.20170703")
    assert master == Scope("toycam", "-", "flat")
