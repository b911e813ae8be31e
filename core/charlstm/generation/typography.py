"""Replace typographic marks and accented letters that a model does not know by the plain ones that it knows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterator, Mapping

PLAIN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys("“”„‟«»", ('"', "'")),
    **dict.fromkeys("‘’‚‛‹›´`", ("'",)),
    '"': ("'",),
    "—": ("--", "-"), "–": ("-", "--"), "‑": ("-",), "…": ("...", "."),
    "\u00a0": (" ",), "\u202f": (" ",), "\t": (" ",),
    "æ": ("ae",), "Æ": ("Ae",), "œ": ("oe",), "Œ": ("Oe",), "ø": ("o",), "Ø": ("O",), "ß": ("ss",), "ł": ("l",),
    "Ł": ("L",), "ﬁ": ("fi",), "ﬂ": ("fl",),
}  # fmt: skip
"""What stands for a character, the best first: the first one that a model knows is taken."""
_MARKS = "\u0300-\u036f"
"""Accents that stand after their letter, as some systems write them."""


def with_plain_marks(text: str, known: Container[str]) -> tuple[str, dict[str, str]]:
    """``text`` with plain characters in the place of those that are not ``known``, and what was replaced by what.

    Quotes, dashes and the like have their plain forms, and an accented letter has its base letter (the first of its
    canonical decomposition, Unicode NFD). What has no plain form that is known stays.
    """
    unknown = "".join(char for char in set(text) if char not in known)
    if not unknown:
        return text, {}
    replaced: dict[str, str] = {}

    def replace(found: re.Match[str]) -> str:
        char = found[0]
        for plain in _plain_forms(char):
            if all(each in known for each in plain):
                if unicodedata.normalize("NFC", char) != unicodedata.normalize("NFC", plain):
                    replaced[char] = plain
                return plain
        return char

    return re.sub(f".[{_MARKS}]+|[{re.escape(unknown)}]", replace, text, flags=re.DOTALL), replaced


def in_words(replaced: Mapping[str, str]) -> str:
    """What was replaced by what, in a sentence; nothing if it all looks alike, such as spaces."""
    seen = {"tab" if char == "\t" else char: "space" if plain == " " else plain for char, plain in replaced.items()}
    pairs = ", ".join(f"{name} as {plain}" for name, plain in seen.items() if name.isprintable())
    return f"Not known to the model, put in plainly: {pairs}." if pairs else ""


def _plain_forms(char: str) -> Iterator[str]:
    """What can stand for a character with its accents: itself, in the other ways of writing it, then plainer ones."""
    yield char
    yield unicodedata.normalize("NFC", char)
    decomposed = unicodedata.normalize("NFD", char)
    yield decomposed
    yield from PLAIN.get(char, ())
    if base := "".join(each for each in decomposed if not unicodedata.combining(each)):
        yield base
        yield from PLAIN.get(base, ())
