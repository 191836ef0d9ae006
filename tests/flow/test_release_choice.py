"""What a release may be frozen from: whole files, of the settings that the survey has now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tesela.errors import QualityError
from tesela.flow.run import release
from tesela.flow.run.site import Site, open_site
from tesela.products import paths
from tesela.sciencedb.model import ReleaseModel
from tesela.sciencedb.shelf import Shelf

from . import released


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site without releases; look, but do not touch."""
    site = released.make(tmp_path_factory.mktemp("original"))
    site.ledger.close()
    return site.folder


@pytest.fixture
def site(original: Path, tmp_path: Path) -> Site:
    """A copy of it."""
    return open_site(released.clone(original, tmp_path / "site"))


def _refused(site: Site, sentence: str) -> None:
    """The rehearsal and the build refuse T-2 alone, with this sentence; nothing is left."""
    choice = release.rehearse(site, "dr1")
    assert [one.tile for one in choice.tiles] == ["T-1"]
    with pytest.raises(QualityError) as refused:
        release.build(site, "dr1")
    assert any(sentence in reason for reason in choice.refused)
    assert sentence in str(refused.value)
    assert "tesela reprocess" in str(refused.value)
    assert all(reason.startswith("T-2: ") for reason in choice.refused)
    assert not list((site.folder / "releases").glob("*dr1*"))


def test_a_rehearsal_says_what_would_be_frozen_and_writes_nothing(site: Site) -> None:
    choice = release.rehearse(site, "dr1")
    assert [(one.tile, one.version) for one in choice.tiles] == [("T-1", 1), ("T-2", 1)]
    assert choice.refused == ()
    assert not (site.folder / "releases").exists()


@pytest.mark.parametrize("table", ["objects", "detections", "tiles"])
def test_a_table_with_a_changed_byte_is_not_frozen(site: Site, table: str) -> None:
    path = paths.science("T-2", 1, table)
    content = bytearray((site.folder / path).read_bytes())
    content[len(content) // 3] ^= 1
    (site.folder / path).unlink()  # the original is linked
    (site.folder / path).write_bytes(content)
    _refused(site, f"{path} is not the file that was written")


def test_a_table_that_is_gone_is_named(site: Site) -> None:
    path = paths.science("T-2", 1, "detections")
    (site.folder / path).unlink()
    _refused(site, f"T-2: {path} is missing")


@pytest.mark.parametrize("kind", ["dual", "zeropoints", "valueadded", "science"])
def test_a_tile_made_with_other_settings_is_not_frozen(site: Site, kind: str) -> None:
    with site.ledger.write() as conn:
        conn.exec_driver_sql(
            f"UPDATE product SET settings_hash = 'old' WHERE kind = '{kind}' AND key = 'T-2'"
        )
    _refused(site, f"T-2: {kind} made with other settings than survey.toml has now")


def _with(site: Site, **changes: object) -> Site:
    return replace(site, survey=replace(site.survey, **changes))  # type: ignore[arg-type]


def test_a_survey_that_detects_in_another_band_now_freezes_nothing(site: Site) -> None:
    """Sources of one detection band would be published as those of another."""
    with pytest.raises(QualityError) as refused:
        release.build(_with(site, detection_band="gSDSS"), "dr1")
    for sentence in (
        "T-1: dual made with other settings",
        "T-1.v1.objects.parquet has detection band rSDSS, survey.toml gSDSS",
    ):
        assert sentence in str(refused.value)


def test_a_survey_that_has_another_band_now_freezes_nothing(site: Site) -> None:
    filters = dict(site.survey.filters)
    filters["zSDSS"] = filters["iSDSS"]
    choice = release.rehearse(_with(site, filters=filters), "dr1")
    assert choice.tiles == ()
    assert any(
        "has bands gSDSS rSDSS iSDSS, survey.toml gSDSS rSDSS iSDSS zSDSS" in reason
        for reason in choice.refused
    )


def test_versions_of_the_program_are_a_note(site: Site) -> None:
    with site.ledger.write() as conn:
        conn.exec_driver_sql("UPDATE product SET code_version = '2' WHERE kind = 'dual'")
    built = release.build(site, "dr1")
    assert ReleaseModel.read(built.folder).facts["made_with"] == ["1", "2"]
    note = next(c for c in built.validation.checks if c.name == "code versions")
    assert (note.passed, note.found) == (None, "1, 2")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(inputs: object, settings: object, folder: Path, progress: object) -> None:
        (folder / "half.parquet").write_text("x")
        raise error

    monkeypatch.setattr(release.release_stage, "build", fail)
    with pytest.raises(type(error)):
        release.build(site, "dr1")
    left = {path.name for path in (site.folder / "releases").iterdir()}
    assert left == {".building.lock"}
    assert Shelf(site.folder / "releases").names() == []
