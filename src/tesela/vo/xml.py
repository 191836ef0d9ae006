"""Text that may stand in XML 1.0."""

from __future__ import annotations

import re

ILLEGAL = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
"""Characters that XML 1.0 cannot hold, not even as references."""

_ILLEGAL = re.compile(f"{ILLEGAL}|[\ud800-\udfff]")
_ENTITIES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;"}
)


def escape(text: str) -> str:
    """Text as it may stand in an element or in a double-quoted attribute.

    Characters that XML cannot hold become U+FFFD.
    """
    return _ILLEGAL.sub("\ufffd", text).translate(_ENTITIES)


def attributes(**values: str) -> str:
    """Attributes of an element, each with a blank before it; empty values are left out."""
    return "".join(f' {name}="{escape(value)}"' for name, value in values.items() if value)
