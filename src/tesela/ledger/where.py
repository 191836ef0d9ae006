"""Conditions that people write: `night = 2017-07-03 and band = rSDSS and fwhm_arcsec > 2.5`.

A condition is comparisons joined by `and`. Each names a column that is known, an operator and a
value: `=  !=  <  <=  >  >=`, `~` with a pattern of `*` and `?`, `in (a, b)`; of nights, times and
numbers also a range `a..b`, both ends included. A value with spaces or signs stands in quotes. What
has no value (an image that was not measured) meets no comparison.

Nothing that a person writes becomes a part of a statement: names are looked up in a table, values
are bound.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tesela.errors import BadInput
from tesela.ledger.where_columns import NIGHT, NUMBER, TEXT, TIME, WHOLE, YES_NO, Column
from tesela.products.frame import mjd_of

_LONGEST = 10_000
_LARGEST = 2**31
_A_DAY, _A_SECOND = 1.0, 1.0 / 86400.0
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "~", "in")
_MAY = {
    TEXT: _OPERATORS,
    NIGHT: _OPERATORS,
    NUMBER: tuple(op for op in _OPERATORS if op != "~"),
    WHOLE: tuple(op for op in _OPERATORS if op != "~"),
    TIME: tuple(op for op in _OPERATORS if op != "~"),
    YES_NO: ("=", "!="),
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<op>!=|<=|>=|=|<|>|~)|(?P<mark>[(),])|'(?P<single>[^']*)'|"(?P<double>[^"]*)"
        |(?P<word>[^\s=<>!~(),'"]+)|(?P<odd>\S))""",
    re.VERBOSE,
)
_PLAIN = re.compile(r"[^\s=<>!~(),'\"]+")
_TRUE, _FALSE = ("yes", "true"), ("no", "false")

Value = Any
Bound = tuple[str, dict[str, Value]]
"""A piece of SQL and the values bound in it."""


@dataclass(frozen=True)
class Term:
    """One comparison; a range is a pair of values."""

    column: Column
    operator: str
    values: tuple[Value | tuple[Value, Value], ...]
    words: tuple[str, ...]
    """As they were written."""

    def __str__(self) -> str:
        if self.operator == "in":
            return f"{self.column.name} in ({', '.join(map(_quoted, self.words))})"
        return f"{self.column.name} {self.operator} {_quoted(self.words[0])}"


@dataclass(frozen=True)
class Condition:
    """A condition that was understood; as text it is always written alike."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return " and ".join(map(str, self.terms))

    @property
    def groups(self) -> frozenset[str]:
        """Tables that its columns are of, by the names in `where_columns`."""
        return frozenset(group for term in self.terms for group in term.column.groups)

    def sql(self, dialect: str) -> Bound:
        """Return the condition as SQL of a dialect, and the values bound in it."""
        bound: dict[str, Value] = {}
        parts = [_term_sql(term, dialect, bound) for term in self.terms]
        return " AND ".join(f"({part})" for part in parts), bound


def parse(text: str, known: Mapping[str, Column]) -> Condition:
    """Read a condition.

    Parameters
    ----------
    text : str
    known : mapping
        The columns that may be asked for, of `where_columns`.

    Raises
    ------
    BadInput
        Naming the word that is not understood, and what is known in its place.
    """
    if len(text) > _LONGEST or not text.isprintable() or not _is_text(text):
        raise _refusal(
            "the condition",
            f"{len(text)} characters, or some that cannot be printed",
            f"one line of text, {_LONGEST} characters at most",
        )
    reader = _Reader(_tokens(text))
    terms = [_read_term(reader, known)]
    while not reader.at_end:
        reader.take("and", "`and` before the next comparison")
        terms.append(_read_term(reader, known))
    return Condition(tuple(terms))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8
        return False
    return True


@dataclass(frozen=True)
class _Token:
    kind: str
    """op, mark, quoted or word."""
    text: str


def _tokens(text: str) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(text.rstrip()):
        kind, said = match.lastgroup or "", match.group(match.lastgroup or 0)
        if kind == "odd":
            sign = "a quote that is never closed" if said in "'\"" else f"the sign {said!r}"
            raise _refusal(f"`{text}`", sign, "column operator value, joined by `and`")
        found.append(_Token("quoted" if kind in ("single", "double") else kind, said))
    return found


class _Reader:
    """Walks along the tokens."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._at = tokens, 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._tokens)

    def peek(self) -> _Token:
        return _Token("end", "") if self.at_end else self._tokens[self._at]

    def next(self, expected: str, *kinds: str) -> _Token:
        token = self.peek()
        if token.kind not in kinds:
            said = f"`{token.text}`" if token.text else "its end"
            raise _refusal("the condition", said, expected)
        self._at += 1
        return token

    def take(self, word: str, expected: str) -> None:
        token = self.peek()
        if token.kind == "quoted" or token.text.lower() != word:
            do = "conditions are joined by `and` alone; `in (a, b)` is the way to say `or`"
            said = f"`{token.text}`" if token.text else "its end"
            raise _refusal("the condition", said, expected, do)
        self._at += 1


def _read_term(reader: _Reader, known: Mapping[str, Column]) -> Term:
    name = reader.next("a column", "word").text
    column = known.get(name)
    if column is None:
        raise _refusal(f"`{name}`", "no such column", f"one of {', '.join(sorted(known))}")
    token = reader.next(f"an operator after {name}: {', '.join(_OPERATORS)}", "op", "word")
    operator = token.text.lower()
    if operator not in _MAY[column.type]:
        raise _refusal(
            f"`{name} {token.text}`",
            f"{name} is {_A[column.type]}",
            f"one of {', '.join(_MAY[column.type])}",
        )
    words = _read_list(reader) if operator == "in" else [_read_value(reader)]
    values = tuple(_value(column, operator, word) for word in words)
    return Term(column, operator, values, tuple(words))


def _read_list(reader: _Reader) -> list[str]:
    reader.take("(", "`(` after in")
    words = [_read_value(reader)]
    while reader.peek().text == ",":
        reader.take(",", "`,`")
        words.append(_read_value(reader))
    reader.take(")", "`,` and another value, or `)`")
    return words


def _read_value(reader: _Reader) -> str:
    return reader.next("a value; one with signs or spaces in quotes", "word", "quoted").text


# ---------------------------------------------------------------- values

_A = {
    TEXT: "text",
    NIGHT: "a night, such as 2017-07-03",
    NUMBER: "a number",
    WHOLE: "a whole number",
    TIME: "a time (UTC), such as 2026-01-31 or 2026-01-31T12:00:00",
    YES_NO: "yes or no",
}


def _value(column: Column, operator: str, word: str) -> Value | tuple[Value, Value]:
    if operator == "~":
        return word
    low, dots, high = word.partition("..")
    if dots and operator in ("=", "in") and column.type not in (TEXT, YES_NO):
        return _read_as(column, low), _read_as(column, high)
    return _read_as(column, word)


def _read_as(column: Column, word: str) -> Value:
    try:
        return _READ[column.type](word)
    except (ValueError, OverflowError):
        raise _refusal(f"`{column.name}`", repr(word), _A[column.type]) from None


def _night(word: str) -> str:
    return dt.date.fromisoformat(word).isoformat()


def _number(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(word)
    return number


def _whole(word: str) -> int:
    number = int(word)
    if abs(number) >= _LARGEST:
        raise ValueError(word)
    return number


def _time(word: str) -> tuple[str, float, float]:
    """A date is its whole day, an instant its second: [begin, end) in MJD."""
    moment = dt.datetime.fromisoformat(word)
    begin = mjd_of(moment)
    return "span", begin, begin + (_A_DAY if len(word) <= len("2026-01-31") else _A_SECOND)


def _yes_no(word: str) -> bool:
    if word.lower() not in _TRUE + _FALSE:
        raise ValueError(word)
    return word.lower() in _TRUE


_READ: dict[str, Callable[[str], Value]] = {
    TEXT: str,
    NIGHT: _night,
    NUMBER: _number,
    WHOLE: _whole,
    TIME: _time,
    YES_NO: _yes_no,
}


# ---------------------------------------------------------------- SQL


def _term_sql(term: Term, dialect: str, bound: dict[str, Value]) -> str:
    column, operator = term.column, term.operator
    if column.type == YES_NO:
        wanted = term.values[0] is (operator == "=")
        return column.sql if wanted else f"NOT ({column.sql})"
    negated = operator == "!="
    if negated:
        operator = "="
    inner = " OR ".join(_one_sql(column, operator, v, dialect, bound) for v in term.values)
    # Where many rows stand behind one column, as the tiles of a frame, one of them is enough.
    said = column.within.format(inner) if column.within else inner
    return f"NOT ({said})" if negated else said


def _one_sql(
    column: Column, operator: str, value: Value, dialect: str, bound: dict[str, Value]
) -> str:
    def bind(what: Value) -> str:
        name = f"w{len(bound)}"
        bound[name] = what
        return f":{name}"

    sql = column.sql
    if operator == "~":
        return _glob_sql(sql, str(value), dialect, bind)
    if column.type == TIME:
        return _time_sql(sql, operator, value, bind)
    if isinstance(value, tuple):
        return f"{sql} >= {bind(value[0])} AND {sql} <= {bind(value[1])}"
    return f"{sql} {'=' if operator == 'in' else operator} {bind(value)}"


def _time_sql(sql: str, operator: str, value: Value, bind: Callable[[Value], str]) -> str:
    first, last = (value, value) if value[0] == "span" else value
    begin, end = first[1], last[2]
    if operator in ("=", "in"):
        return f"{sql} >= {bind(begin)} AND {sql} < {bind(end)}"
    edges = {"<": ("<", begin), "<=": ("<", end), ">": (">=", end), ">=": (">=", begin)}
    sign, edge = edges[operator]
    return f"{sql} {sign} {bind(edge)}"


def _glob_sql(sql: str, pattern: str, dialect: str, bind: Callable[[Value], str]) -> str:
    """SQLite's LIKE takes capitals for small letters, and PostgreSQL has no GLOB."""
    if dialect == "sqlite":
        return f"{sql} GLOB {bind(pattern.replace('[', '[[]'))}"
    escaped = re.sub(r"([!%_])", r"!\1", pattern).replace("*", "%").replace("?", "_")
    return f"{sql} LIKE {bind(escaped)} ESCAPE '!'"


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word) and word.lower() not in ("and", "in"):
        return word
    return f'"{word}"' if "'" in word else f"'{word}'"


def _refusal(what: str, found: str, expected: str, do: str = "correct the condition") -> BadInput:
    return BadInput(f"--where {what}", found=found, expected=expected, do=do)
