"""How a product was made, as its own header tells it: what the ledger knows of it, too.

Cards `TSL KIND`, `TSL PRODUCT`, `TSL VERSION`, `TSL CODE`, `TSL SETTINGS`, `TSL SCOPE`, `TSL ENV`,
and one `TSL SOURCEn` for each source: `<role> <kind> <key> v<version>`. A set of masters is
followed by its masters, whose role is `member`. Tables have the same as the fact `provenance`.
There are no dates: the same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tesela.errors import ProductError
from tesela.products.files import Card

MEMBER: Final = "member"
"""Role of a master within the set that stands before it."""


@dataclass(frozen=True)
class Source:
    """An exact version that something was made from."""

    role: str
    """input, evidence or member."""
    kind: str
    key: str
    version: int

    def __str__(self) -> str:
        return f"{self.role} {self.kind} {self.key} v{self.version}"

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read a source written by `str`; a key may have spaces."""
        head, _, version = text.rpartition(" v")
        role, _, rest = head.partition(" ")
        kind, _, key = rest.partition(" ")
        if not (role and kind and key and version.isdigit()):
            raise ProductError(
                "card TSL SOURCE", found=repr(text), expected="<role> <kind> <key> v<version>"
            )
        return cls(role, kind, key, int(version))


@dataclass(frozen=True)
class Making:
    """How one version was made."""

    kind: str
    key: str
    version: int
    code: str
    settings: str
    """Fingerprint of the step's settings."""
    environment: str
    """Hash of what computed it, see `products.environment`."""
    scope: str = ""
    """Camera, project and observation type, where settings may depend on them."""
    sources: tuple[Source, ...] = ()

    def cards(self) -> list[Card]:
        """Return it as cards of a header."""
        return [
            ("TSL KIND", self.kind, "what this is"),
            ("TSL PRODUCT", self.key, "and its name in the ledger"),
            ("TSL VERSION", self.version, "version of this product"),
            ("TSL CODE", self.code, "version of tesela"),
            ("TSL SETTINGS", self.settings, "fingerprint of the step's settings"),
            *([("TSL SCOPE", self.scope, "what these settings are of")] if self.scope else []),
            ("TSL ENV", self.environment, "hash of the libraries that made it"),
            *((f"TSL SOURCE{n}", str(one), "") for n, one in enumerate(self.sources, 1)),
        ]

    def facts(self) -> dict[str, Any]:
        """Return it as facts of a table."""
        return {name: value for name, value, _ in self.cards()}

    @classmethod
    def read(cls, cards: Mapping[str, Any]) -> Making:
        """Read it from the cards of a header, or the facts of a table.

        Raises `ProductError` if they do not have it.
        """
        try:
            sources: list[Source] = []
            while (text := cards.get(f"TSL SOURCE{len(sources) + 1}")) is not None:
                sources.append(Source.parse(str(text)))
            return cls(
                kind=str(cards["TSL KIND"]),
                key=str(cards["TSL PRODUCT"]),
                version=int(cards["TSL VERSION"]),
                code=str(cards["TSL CODE"]),
                settings=str(cards["TSL SETTINGS"]),
                environment=str(cards["TSL ENV"]),
                scope=str(cards.get("TSL SCOPE", "")),
                sources=tuple(sources),
            )
        except (KeyError, ValueError) as error:
            raise ProductError(
                "header",
                found=f"no {error}" if isinstance(error, KeyError) else str(error),
                expected="the cards that tell how a product was made",
                do="it was made by an older version: `tesela reprocess` makes it anew",
            ) from None
