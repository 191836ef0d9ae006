"""What the verbs share."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tesela.cli.common import confirm, emit
from tesela.errors import ConfigError
from verbs import tesela


def test_json_is_strict_however_deep_a_number_lies(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"a": [1.5, {"b": math.nan}], "c": (math.inf, -math.inf), "d": Path("x"), "e": "NaN"}
    emit(data, True, lambda: iter(()))
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert said == {"a": [1.5, {"b": None}], "c": [None, None], "d": "x", "e": "NaN"}


def test_one_product_is_said_in_the_singular() -> None:
    with pytest.raises(ConfigError, match=r"^1 product would be made again"):
        confirm(1, 0, yes=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["history"], "Missing argument"),
        (["status", "--nope"], "No such option: --nope"),
        (["statsu"], "No such command 'statsu'"),
    ],
)
def test_programs_are_told_of_wrong_words_in_json_too(words: list[str], said: str) -> None:
    told = tesela(*words, "--json")
    assert (told.code, told.out) == (2, "")
    assert said in json.loads(told.err)["error"]["found"]


def test_help_is_help_also_for_programs() -> None:
    told = tesela("history", "--json", "--help")
    assert (told.code, told.err) == (0, "")
    assert "Usage:" in told.out
