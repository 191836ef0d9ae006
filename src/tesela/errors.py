"""Everything Tesela raises on purpose.

    TeselaError
    |-- ConfigError        survey.toml or a camera's TOML is wrong
    |-- BadInput           something from outside (a frame, a catalogue) cannot be taken
    |   `-- Duplicate      ... because the same content or the same name is already here
    |-- QualityError       the files are sound but the data cannot give the result
    |-- ProductError       one of our own files is missing or not what its row says
    |-- TransferError      files could not be carried to or from another site
    |   `-- SiteAway       ... which may answer later
    `-- LedgerError        the administrative database refuses
        |-- NotFound       no such frame, tile, product ...
        |-- LedgerLost     the database does not answer; it may again
        `-- Busy           another controller holds this site

Three more never reach anybody outside the flow: `commit.Late` drops the result of an attempt that
lost its task, `steps.WorkerDied` tells the controller of a worker that died, and
`worker.InputGone`, a ProductError, that a file is away which may come back.

A message answers four questions: which object, what was found, what was expected, what to do.
"""

from __future__ import annotations


class TeselaError(Exception):
    """Base of all our exceptions.

    Parameters
    ----------
    what : str
        The object concerned (file, card, key) or, alone, the whole sentence.
    found, expected, do : str
        What was there, what should have been, and what the reader can do about it.
    """

    def __init__(self, what: str, *, found: str = "", expected: str = "", do: str = "") -> None:
        self.what, self.found, self.expected, self.do = what, found, expected, do
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        if not (self.found or self.expected or self.do):
            return self.what
        parts = [self.found, f"expected {self.expected}" if self.expected else "", self.do]
        return f"{self.what}: " + "; ".join(part for part in parts if part)

    def __reduce__(self) -> tuple[object, ...]:
        # Workers send exceptions to the controller: keyword arguments must survive pickling.
        return _rebuild, (type(self), self.what, self.found, self.expected, self.do)


def _rebuild(cls: type[TeselaError], what: str, found: str, expected: str, do: str) -> TeselaError:
    return cls(what, found=found, expected=expected, do=do)


class ConfigError(TeselaError):
    """A setting is unknown, missing or makes no sense."""


class BadInput(TeselaError):
    """A file from outside cannot be taken; it is refused and recorded, nothing else stops."""


class Duplicate(BadInput):
    """The same content is here under another name, or the same name with other content."""


class QualityError(TeselaError):
    """The data cannot give the result (too few stars, no solution): skipped with its reason."""


class ProductError(TeselaError):
    """A file of ours is missing, damaged or of another version than its row says."""


class TransferError(TeselaError):
    """Files could not be carried to or from another site."""


class SiteAway(TransferError):
    """The other site does not answer, or takes nothing now: it may later."""


class LedgerError(TeselaError):
    """The administrative database refuses."""


class NotFound(LedgerError):
    """Nothing of that name is known."""


class LedgerLost(LedgerError):
    """The database cannot be reached, is locked, or has no room: it may answer later."""


class Busy(LedgerError):
    """Another controller holds this site."""
