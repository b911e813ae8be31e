"""Text for people: figures and names in words, and foreign text made safe to show.

Error messages, the command line, the app and web pages use it. A text that :func:`visible` returns cannot move the
cursor, set the window title or change the writing direction.
"""

from __future__ import annotations

import html
import math
import reprlib
import shlex
import unicodedata
from collections.abc import Container, Iterable, Sequence
from dataclasses import fields
from typing import Any

BITS_PER_NAT = 1 / math.log(2)
"""Losses are in nats everywhere; people may see them in bits."""

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
_HTML_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
"""HTML forbids control characters; Unicode has visible symbols for them."""
_UNITS = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


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


def as_html(text: str) -> str:
    """``text`` as HTML, shown literally."""
    return html.escape(text.translate(_HTML_CONTROLS))


def plural(number: int, noun: str) -> str:
    """``1 snapshot``, ``2,000 snapshots``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def count(number: float, *, exact: bool = False) -> str:
    """A number of characters, steps or weights, short: ``465 k``, ``8.0 M``, ``97``; ``exact``, for the round numbers
    of an axis, with up to four digits: ``12.5 k``."""
    scaled, unit = next(((number / size, unit) for size, unit in _UNITS if number >= 0.9995 * size), (number, ""))
    return f"{scaled:.4g}{unit}" if exact else f"{scaled:.{int(unit != '' and scaled < 9.95)}f}{unit}"


def size(octets: float) -> str:
    """Bytes, short: ``465 kB``, ``1.1 MB``."""
    return f"{count(octets)}{' ' * (octets < 999.5)}B"


def duration(seconds: float) -> str:
    """``0:35``, ``12:07``, ``3:05:09``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def percent(share: float, decimals: int | None = None) -> str:
    """A share (0 to 1) in at most six characters: ``94 %``, ``3.6 %``, ``<0.1 %``. Only none is 0 %, only all 100 %.

    With so many ``decimals``, for shares that stand beside one another: ``94.0 %``, ``0.0 %``.
    """
    value = 100 * share
    if decimals is not None:
        return f"{value:.{decimals}f} %"
    if value >= 99.5:
        return "100 %" if value >= 100 - 1e-4 else ">99 %"  # float32 sums come that close to 1
    if value >= 9.95 or value <= 0:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.05 else "<0.1 %"


def loss_figure(loss: float, decimals: int = 3) -> str:
    """A loss, or as ``8.2e16`` from ten thousand on, as a run has that diverges. Measured losses have three decimals
    everywhere, so that two screens never seem to differ."""
    return scientific(loss) if abs(loss) >= 1e4 else f"{loss:.{decimals}f}"


def scientific(number: float) -> str:
    """A number with two digits and a power of ten, as people write it: ``2.4e-3``."""
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa  # not finite: without


def as_sentence(words: str) -> str:
    """``words`` with a capital letter at the start and a full stop at the end, where they lack it."""
    words = words.strip()
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?', '…')) else '.'}" if words else ""


def cell_name(cell: tuple[int, int]) -> str:
    """How people name a cell of a layer, both counted from 1: ``2:187``."""
    return f"{cell[0]}:{cell[1]}"


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


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Container[str] = ()) -> list[str]:
    """The lines of a table with a header. Columns whose title is in ``right`` are aligned to the right.

    Rich's tables fit into a terminal's width, which would cut or wrap what a pipe gets; made as wide as their content,
    they take as much code.
    """
    from rich.cells import cell_len

    rows = [list(titles), *([visible(cell, keep="") for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        padded = [(cell, " " * (width - cell_len(cell))) for cell, width in zip(row, widths, strict=True)]
        cells = [
            pad + cell if title in right else cell + pad for title, (cell, pad) in zip(titles, padded, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


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
