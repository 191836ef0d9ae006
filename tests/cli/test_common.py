"""What the verbs share."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tesela.cli.common import confirm, emit
from tesela.errors import ConfigError


def test_json_is_strict_however_deep_a_number_lies(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"a": [1.5, {"b": math.nan}], "c": (math.inf, -math.inf), "d": Path("x"), "e": "NaN"}
    emit(data, True, lambda: iter(()))
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert said == {"a": [1.5, {"b": None}], "c": [None, None], "d": "x", "e": "NaN"}


def test_one_product_is_said_in_the_singular() -> None:
    with pytest.raises(ConfigError, match=r"^1 product would be made again"):
        confirm(1, 0, yes=False)
