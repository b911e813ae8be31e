"""Make any text safe to show in a terminal: control and invisible characters become visible symbols.

Error messages, the command line and the app use it. A text that :func:`visible` returns cannot move the cursor, set the
window title or change the writing direction.
"""

from __future__ import annotations

import reprlib
import shlex
import unicodedata
from dataclasses import fields
from typing import Any

_SYMBOLS = {" ": "␣", "\n": "↵", "\t": "⇥", "\u00a0": "⍽", "\u00ad": "¬", "\x7f": "␡"}
_CONTROL_NAMES = {
    "\x00": "nul",
    "\t": "tab",
    "\n": "newline",
    "\v": "vertical tab",
    "\f": "form feed",
    "\x1b": "escape",
    "\u0085": "next line",
}
"""Control characters have no name in Unicode."""


def visible(text: str, *, keep: str = "\n") -> str:
    """Replace each control, zero-width, bidirectional or surrogate character of ``text`` by a visible symbol.

    Each becomes one character, so that positions do not change. Spaces and characters in ``keep`` stay.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _visible_char(char) for char in text)


def symbol(char: str) -> str:
    """One visible symbol for ``char``, also for a space (␣), newline (↵) or tab (⇥). For lists of characters."""
    return _SYMBOLS.get(char) or visible(char, keep="")


def quoted(char: str) -> str:
    """``char`` in quotes, as sentences and figures name a character: ``“e”``, ``“␣”``."""
    return f"“{symbol(char)}”"


def shell_command(*words: str) -> str:
    """A ``charlstm`` command to copy into a shell, with each of ``words`` quoted where that is needed."""
    return " ".join(map(shell_word, ("charlstm", *words)))


def shell_word(text: str) -> str:
    """Quote ``text`` as one word of a shell command; invisible characters become escapes (bash, zsh and ksh)."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = (char if char.isprintable() and char not in "\\'" else _shell_escape(char) for char in text)
    return f"$'{''.join(escaped)}'"


def _shell_escape(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def described(char: str) -> str:
    """Code point and name of ``char``: ``U+00AD soft hyphen``."""
    name = unicodedata.name(char, "").lower() or _CONTROL_NAMES.get(char, "control character")
    return f"U+{ord(char):04X} {name}"


def _visible_char(char: str) -> str:
    if char in _SYMBOLS:
        return _SYMBOLS[char]
    if char < " ":
        return chr(0x2400 + ord(char))  # Unicode's pictures of control characters
    category = unicodedata.category(char)
    if category in ("Zs", "Co", "Cn"):
        return char  # spaces, and characters that this Python does not know but a terminal may
    return "␤" if category in ("Zl", "Zp") else "⍰"


class _Short(reprlib.Repr):
    """Python's short representations, with arrays by type and shape alone."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = 60
        self.maxother = 120

    def repr_ndarray(self, array: Any, _: int) -> str:
        return f"<{array.dtype} {array.shape}>"


_SHORT = _Short()


def short(value: object) -> str:
    """What ``value`` looks like in Python, of bounded length."""
    return _SHORT.repr(value)


def short_repr(self: Any) -> str:
    """A ``__repr__`` of bounded length for a dataclass that holds arrays, long texts or many items."""
    parts = (f"{field.name}={short(getattr(self, field.name))}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(parts)})"
