"""As which other character one is read that a model does not know: “ as ", é as e."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

PLAIN: dict[str, str] = {
    **dict.fromkeys("“”„‟«»", "\"'"),
    **dict.fromkeys("‘’‚‛‹›´`", "'"),
    '"': "'", "—": "-", "–": "-", "‑": "-", "…": ".", "\u00a0": " ", "\u202f": " ", "\t": " ",
    "æ": "a", "Æ": "A", "œ": "o", "Œ": "O", "ø": "o", "Ø": "O", "ß": "s", "ł": "l", "Ł": "L", "ﬁ": "f", "ﬂ": "f",
}  # fmt: skip
"""Single characters that can stand for one, the best first."""


def plain_forms(char: str) -> Iterator[str]:
    """Single characters that can stand for one, the best first: its plain forms, and the letter below its accents (of
    its canonical decomposition, Unicode NFD) with the plain forms of that."""
    yield from PLAIN.get(char, "")
    letter = unicodedata.normalize("NFD", char)[:1]
    if letter != char:
        yield letter
        yield from PLAIN.get(letter, "")
