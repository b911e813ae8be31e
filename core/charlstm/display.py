"""Any text shown literally: what would act on a terminal or hide in it becomes a visible sign.

One function for error messages, the command line and the app. It knows nothing of markup or colours; a text that it
returns moves no cursor, sets no title and turns no writing direction.
"""

from __future__ import annotations

import shlex
import unicodedata

_SYMBOLS = {" ": "␣", "\n": "↵", "\t": "⇥", "\u00a0": "⍽", "\u00ad": "¬", "\x7f": "␡"}


def visible(text: str, *, keep: str = "\n") -> str:
    """``text`` with each control, zero-width, bidirectional or unencodable character made a visible sign.

    One character stays one sign, so positions hold. Characters in ``keep`` stay as they are; spaces always do.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _sign(char) for char in text)


def symbol(char: str) -> str:
    """One visible sign for ``char``, as lists of candidates show it: also spaces (␣), newlines (↵) and tabs (⇥)."""
    return _SYMBOLS.get(char) or visible(char, keep="")


def shell_command(*words: str) -> str:
    """A ``charlstm`` command to copy into a shell: no name in it is taken for more than a name, or for several."""
    return " ".join(map(shell_word, ("charlstm", *words)))


def shell_word(text: str) -> str:
    """``text`` as one word for a shell; what cannot be seen in it as escapes, which bash, zsh and ksh read."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = (char if char.isprintable() and char not in "\\'" else _shell_escape(char) for char in text)
    return f"$'{''.join(escaped)}'"


def _shell_escape(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def described(char: str) -> str:
    """``char`` in words where its sign alone would not tell it: ``U+00AD soft hyphen``."""
    name = unicodedata.name(char, "").lower() or _CONTROLS.get(char, "control character")
    return f"U+{ord(char):04X} {name}"


_CONTROLS = {"\x00": "nul", "\t": "tab", "\n": "newline", "\v": "vertical tab", "\f": "form feed", "\x1b": "escape"}


_CONTROLS["\u0085"] = "next line"


def _sign(char: str) -> str:
    if sign := _SYMBOLS.get(char):
        return sign
    if char < " ":
        return chr(0x2400 + ord(char))  # Unicode's pictures of control characters
    kind = unicodedata.category(char)
    if kind in ("Zs", "Co", "Cn"):
        return char  # wide spaces are writing; what this Python does not know yet may be
    return "␤" if kind in ("Zl", "Zp") else "⍰"
