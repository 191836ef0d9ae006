"""Settings are frozen, complete, and refuse what they do not know."""

from dataclasses import FrozenInstanceError, dataclass, field
from pathlib import Path

import pytest

from tesela import config
from tesela.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    n: int = 3
    x: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    pair: tuple[float, float] = (0.0, 1.0)
    words: tuple[str, ...] = ()
    choice: float | str | None = None


def test_build_fills_nested_tables_and_defaults() -> None:
    got = config.build(Outer, {"name": "a", "inner": {"n": 7}, "pair": [1, 2]}, "t")
    assert got == Outer("a", Inner(7, 0.5), (1.0, 2.0))
    with pytest.raises(FrozenInstanceError):
        got.name = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "no name"),
        ({"name": "a", "nmae": 1}, "unknown setting nmae"),
        ({"name": 3}, "expected a value of type str"),
        ({"name": "a", "inner": {"n": 1.5}}, "t.inner.n: 1.5"),
        ({"name": "a", "inner": {"n": True}}, "expected a value of type int"),
        ({"name": "a", "inner": 3}, "expected a table"),
        ({"name": "a", "pair": [1]}, "1 values; expected 2 values"),
        ({"name": "a", "words": "xyz"}, "expected a list"),
        ({"name": "a", "choice": [1]}, "t.choice"),
    ],
)
def test_build_refuses_with_place_and_expectation(table: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        config.build(Outer, table, "t")


def test_union_takes_a_number_or_a_word() -> None:
    assert config.build(Outer, {"name": "a", "choice": "fit"}, "t").choice == "fit"
    assert config.build(Outer, {"name": "a", "choice": 1}, "t").choice == 1.0


def test_fingerprint_changes_with_a_setting_and_with_nothing_else() -> None:
    a = Outer("a")
    assert config.fingerprint(a) == config.fingerprint(Outer("a"))
    assert config.fingerprint(a) != config.fingerprint(Outer("a", Inner(4)))
    assert config.fingerprint(config.as_table(a)) == config.fingerprint(a)


def _write(folder: Path, text: str) -> Path:
    path = folder / "survey.toml"
    path.write_text(text)
    return path


MINIMAL = """
name = "s"
cameras = ["mini80"]
[grid]
scheme = "list"
[filters.rSDSS]
names = ["SDSS r"]
"""


def test_survey_finds_bands_by_any_of_their_names(tmp_path: Path) -> None:
    survey = config.load_survey(_write(tmp_path, MINIMAL))
    assert survey.band_of(" sdss R ") == "rSDSS"
    assert survey.band_of("RSDSS") == "rSDSS"
    assert survey.band_of("z") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "survey.toml"),
        (MINIMAL.replace("[filters.rSDSS]", "[filters]").replace('names = ["SDSS r"]', ""), "no f"),
        (MINIMAL.replace("filters.rSDSS", 'filters."r.1"'), "no '.'"),
        (MINIMAL + '[flow]\narchive = "move"', "copy"),
        (MINIMAL + "[flow]\nworkers = -1", "flow.workers: -1; expected zero or a positive"),
        (MINIMAL + "[flow]\nquiet_s = nan", "flow.quiet_s: nan"),
        (MINIMAL + "[flow]\nconfirm_above = -5", "flow.confirm_above: -5"),
        (
            MINIMAL + "[calibration]\nvalidity_days = { FLAT = 0 }",
            "validity_days.FLAT: 0; expected a positive",
        ),
        *(
            (
                MINIMAL + f"[calibration]\ncadence_days = {{ FRINGE = {days} }}",
                f"cadence_days.FRINGE: {days}; expected a whole number of days, at least 1",
            )
            for days in (0.5, 1.5)
        ),
        *(
            (MINIMAL + f"[calibration.{kind}]\nmost = 0", f"{kind}.most: 0; expected at least 1")
            for kind in ("illumination", "fringe", "pattern")
        ),
    ],
)
def test_survey_refuses_nonsense(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.load_survey(_write(tmp_path, text))


REFERENCE = MINIMAL + "[filters.rSDSS.reference]\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        'mag = "r"',
        'transform = "t"\ncolumns = { g = "g" }',
        'mag = "r"\ncolour = ["g", "i"]',
        'mag = "r"\ncolour = ["g", "i"]\ncolour_coefficient = "fit"',
        'mag = "r"\ncolour = ["g", "i"]\ncolour_coefficient = -1',
    ],
)
def test_ways_to_name_a_reference(tmp_path: Path, text: str) -> None:
    config.load_survey(_write(tmp_path, REFERENCE + text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('mag = "V"\ntransform = "t"', "mag = 'V' and transform = 't'; expected one of them"),
        ('transform = "t"', "transform without columns; expected both"),
        ('mag = "V"\ncolumns = { g = "g" }', "columns and no transform; expected both"),
        ('mag = "r"\ncolour = ["g"]', "colour: 1 columns; expected two"),
        (
            'colour = ["g", "i"]\ncolour_coefficient = "fitt"',
            "'fitt'; expected a number or \"fit\"",
        ),
        ('colour = ["g", "i"]\ncolour_coefficient = nan', "coefficient: nan; expected a number"),
        ("colour_coefficient = 0.1", "colour: none; expected two columns"),
        ("mag_limits = [18, 12]", "mag_limits: 18, 12; expected the brighter limit first"),
    ],
)
def test_references_that_contradict_themselves(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"^survey.toml.filters.rSDSS.reference.*{words}"):
        config.load_survey(_write(tmp_path, REFERENCE + text))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        config.load_toml(tmp_path / "nowhere.toml")
