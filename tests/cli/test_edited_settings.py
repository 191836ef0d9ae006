"""What the verbs say when survey.toml of a site was edited: rightly, and wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.flow.run.bodies import steps_of
from tesela.flow.run.site import open_site
from tesela.ledger import products, steps
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import Scope
from tesela.products import paths
from verbs import SMALL_SURVEY, new_site, tesela, well


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "survey.toml").write_text(SMALL_SURVEY)
    return new_site(tmp_path / "site", tmp_path / "survey.toml")


def edit(site: Path, more: str) -> None:
    paths.survey_file(site).write_text(SMALL_SURVEY + more)


WRONG = {
    "a step's setting": ("[steps.coadd]\nnonsense = 1\n", "nonsense"),
    "an override": (
        "[[overrides]]\nstep = 'reduce'\ncamera = 'other'\nsettings = { cosmics = {} }\n",
        "survey.toml.overrides[0].camera: 'other'; expected one of mini80",
    ),
    "the file": ("[grid\n", "survey.toml"),
}


@pytest.mark.parametrize("what", WRONG)
def test_settings_that_are_wrong_are_told_by_every_verb(site: Path, what: str) -> None:
    text, words = WRONG[what]
    edit(site, text)
    for verb in (("plan",), ("plan", "--dry-run"), ("why", "x"), ("reprocess", "--all"), ("run",)):
        said = tesela(*verb, "--site", site)
        assert said.code == 2, verb
        assert words in said.err, verb
    status = well("status", "--site", site)
    assert status.out.startswith("INVALID SETTINGS: ")
    assert words in status.out
    assert "products: none" in status.out
    assert words in well("status", "--site", site, "--json").data["problem"]


def test_an_edit_makes_stale_at_once_what_was_made_before(site: Path) -> None:
    spec = steps_of(open_site(site))["coadd"]
    made = products.NewProduct(
        "coadd", "T1.rSDSS", 1, code_version=spec.code_version, settings_hash=spec.settings_hash
    )
    ledger = Ledger.open(paths.ledger_file(site))
    with ledger.write() as conn:
        products.insert(conn, made)
    well("run", "--site", site)
    assert "stale" not in well("status", "--site", site).out
    edit(site, "[steps.coadd]\nclip_sigma = 5.0\n")
    for _ in range(2):
        assert "stale: 1 coadd: made with other settings" in well("status", "--site", site).out
    with ledger.read() as conn:
        assert not steps.is_outdated(conn, products.by_id(conn, 1)), "looking writes nothing"
    assert "stale: 1 coadd: made with other settings" in well("plan", "--site", site).out
    ledger.close()


def test_an_edited_override_makes_stale_what_it_concerns(site: Path) -> None:
    """What the settings come to is kept between two looks, for each scope in which something was
    made, and asked anew when the survey changes."""
    ours, theirs = (Scope("mini80", project, "science") for project in ("ours", "theirs"))
    spec = steps_of(open_site(site))["reduce"]
    ledger = Ledger.open(paths.ledger_file(site))
    with ledger.write() as conn:
        for name, scope in (("f1", ours), ("f2", theirs)):
            made = products.NewProduct(
                "reduced", name, 1, code_version=spec.code_version,
                settings_hash=spec.settings_hash_in(scope), scope=str(scope),
            )  # fmt: skip
            products.insert(conn, made)
            steps.note_settings(conn, "reduce", scope, spec.settings_hash_in(scope))
    ledger.close()
    well("run", "--site", site)
    assert "stale" not in well("status", "--site", site).out
    edit(
        site,
        '[[overrides]]\nstep = "reduce"\nproject = "theirs"\nsettings.cosmics.sigclip = 6.5\n',
    )
    for _ in range(2):
        (group,) = well("status", "--site", site, "--json").data["stale"]
        assert (group["kind"], group["n"], group["example"]) == ("reduced", 1, "f2")
