"""Bytes to characters, in a stream: newlines, cleaning and normalisation, whatever the size of the blocks.

What is done to a text is one small record, :class:`TextOptions`, that models keep and apply to primes too. Which
encoding a file is in, ``encoding`` decides; which files there are, ``sources``; numbers are ``vocabulary``'s.
"""

from __future__ import annotations

import codecs
import io
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any, Self

from charlstm.errors import TextError
from charlstm.text.encoding import check_encoding

CLEANED = {
    "\u00ad": "",  # soft hyphen
    "\u200b": "",  # zero width space
    "\u2060": "",  # word joiner
    "\ufeff": "",  # byte order mark inside the text
    "\x00": "",
    "\u00a0": " ",  # non-breaking space
    "\u202f": " ",  # narrow non-breaking space
    "\u2007": " ",  # figure space
    "\f": "\n",
    "\v": "\n",
    "\u0085": "\n",  # next line
    "\u2028": "\n",  # line separator
    "\u2029": "\n",  # paragraph separator
}
"""Characters that seldom are wanted in a text to learn from, and what ``clean`` makes of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """What is done to a text before it is learnt from. Raises :class:`TextError` for a value that makes no sense."""

    normalize: bool = True
    """Unicode's composed form (NFC): é is one character, however it was written."""
    strip_boilerplate: bool = False
    """Leave out a Project Gutenberg header and licence."""
    clean: bool = False
    """Soft hyphens and the like are dropped, non-breaking spaces become spaces, form feeds newlines."""
    encoding: str | None = None
    """The files' encoding; None finds it out."""
    fold_rare: int = 0
    """Characters seen fewer times become one replacement symbol; 0: none do."""
    pattern: str = "*.txt"
    """Which files of a folder are read; several patterns are divided by commas."""
    max_chars: int | None = None
    """Characters read at most; None reads all (of the built-in source code 8,000,000)."""

    def __post_init__(self) -> None:
        for name in ("normalize", "strip_boilerplate", "clean"):
            if not isinstance(getattr(self, name), bool):
                raise TextError(f"{name} takes true or false, not {getattr(self, name)!r:.60}")
        for name, low in (("fold_rare", 0), ("max_chars", 1)):
            value = getattr(self, name)
            if name == "max_chars" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise TextError(f"{name} takes a whole number of at least {low}, not {value!r:.60}")
        if not isinstance(self.pattern, str) or not self.pattern.strip():
            raise TextError(f"pattern takes file name patterns such as *.txt, not {self.pattern!r:.60}")
        if self.encoding is not None:
            object.__setattr__(self, "encoding", check_encoding(str(self.encoding)))

    def apply(self, text: str) -> str:
        """``text`` as it would have been read from a file (newlines, cleaning, normalisation): for primes."""
        return Characters(self).feed(text, final=True)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; what is missing takes its default. Raises :class:`TextError`."""
        known = {spec.name for spec in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise TextError(f"There is no text option {unknown[0]!r:.60}; there are {', '.join(sorted(known))}")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """A stretch that is about the text and not of it: ``kind`` is ``header`` or ``licence``, ``start`` and ``chars``
    count in characters of the text before anything was left out."""

    kind: str
    start: int
    chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """What was found while reading."""

    encoding: str
    """Python's name of it; ``mixed`` when the files differ."""
    bom: bool = False
    newlines: str = "none"
    """``LF``, ``CRLF``, ``CR``, ``mixed`` or ``none``."""
    invalid_bytes: int = 0
    """Bytes that the encoding has no character for; they became U+FFFD."""
    bytes: int = 0
    cleanable: Mapping[str, int] = field(default_factory=dict)
    """Characters of :data:`CLEANED` and how often each came, whether they were cleaned or not."""
    boilerplate: tuple[Boilerplate, ...] = ()
    """Headers and licences that were noticed, whether they were left out or not."""
    files: tuple[str, ...] = ()
    """The files that were read, at most :data:`FILES_NAMED` of them."""
    file_count: int = 1
    version: str | None = None
    """Of a built-in text: the Python it came with."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Raises :class:`TypeError` or :class:`KeyError` for what is no report."""
        stretches = tuple(Boilerplate(**stretch) for stretch in values["boilerplate"])
        cleanable = dict(values["cleanable"])
        report = cls(**{**values, "cleanable": cleanable, "boilerplate": stretches, "files": tuple(values["files"])})
        words = (report.encoding, report.newlines, *report.files, *(each.kind for each in stretches))
        numbers = (report.invalid_bytes, report.bytes, report.file_count, *cleanable.values())
        numbers += tuple(number for each in stretches for number in (each.start, each.chars))
        if (
            not CLEANED.keys() >= cleanable.keys()
            or not all(isinstance(word, str) for word in words)
            or not all(type(number) is int for number in numbers)
        ):
            raise TypeError("no report of a reading")
        return report


FILES_NAMED = 100


@dataclass(slots=True)
class Tally:
    """What a reader notices on its way, over all files."""

    bytes: int = 0
    invalid_bytes: int = 0
    newlines: set[str] = field(default_factory=set)
    encodings: set[str] = field(default_factory=set)
    bom: bool = False
    cleanable: Counter[str] = field(default_factory=Counter)

    def newline_style(self) -> str:
        names = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
        return "mixed" if len(self.newlines) > 1 else names[self.newlines.copy().pop()] if self.newlines else "none"


class Characters:
    """Text as it comes to text as it is learnt from: newlines become ``\\n``, then cleaning, then NFC.

    Fed in pieces of any size it gives, in all, what feeding the whole at once would give.
    """

    def __init__(self, options: TextOptions, tally: Tally | None = None) -> None:
        self._options = options
        self._record_step = tally if tally is not None else Tally()
        self._newlines = io.IncrementalNewlineDecoder(None, translate=True)
        self._held = ""

    def feed(self, piece: str, *, final: bool = False) -> str:
        """The characters that are certain now; with ``final`` all the rest."""
        text = self._newlines.decode(piece, final=final)
        for char in _cleanable(text):
            self._record_step.cleanable[char] += text.count(char)
            if self._options.clean:
                text = text.replace(char, CLEANED[char])
        if self._options.normalize:
            text = self._held + text
            cut = len(text) if final else _safe_cut(text)
            self._held = text[cut:]
            text = _composed(text[:cut])
        if seen := self._newlines.newlines:
            self._record_step.newlines.update((seen,) if isinstance(seen, str) else seen)
        return text


def decoded(blocks: Iterable[bytes], encoding: str, options: TextOptions, tally: Tally) -> Iterator[str]:
    """The characters of ``blocks`` of bytes in ``encoding``, a piece a block; bytes that are none become U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)(_REPLACE)
    characters = Characters(options, tally)
    for block in blocks:
        yield characters.feed(_decode(decoder, block, tally, final=False))
    yield characters.feed(_decode(decoder, b"", tally, final=True), final=True)


_REPLACE = "charlstm-replace"
_replaced = threading.local()


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _replaced.count = getattr(_replaced, "count", 0) + error.end - error.start
    return "\ufffd", error.end


codecs.register_error(_REPLACE, _replace)


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, tally: Tally, *, final: bool) -> str:
    _replaced.count = 0
    text = decoder.decode(block, final)
    tally.invalid_bytes += _replaced.count
    return text


def _cleanable(text: str) -> list[str]:
    """Which of :data:`CLEANED` are in ``text``; those outside ASCII are not looked for in ASCII."""
    ascii_only = text.isascii()
    return [char for char in CLEANED if (char < "\x80" or not ascii_only) and char in text]


_HOLD = 1_000_000
_LONG_RUN = 1024


def _safe_cut(text: str) -> int:
    """The last place in ``text`` before which it can be normalised apart from what follows."""
    for cut in range(len(text) - 1, max(len(text) - _HOLD, 0), -1):
        if _stands_alone(text[cut]):
            return cut
    return 0 if len(text) < _HOLD else len(text)


def _stands_alone(char: str) -> bool:
    """Whether ``char`` surely is a starter that never composes with what came before it.

    Letters outside the basic plane, marks and the later jamo may, in this or a coming version of Unicode.
    """
    if char < "\u0300":
        return True
    kind = unicodedata.category(char)[0]
    return kind in "ZPSCN" or (kind == "L" and char < "\U00010000" and not "\u1160" <= char <= "\u11ff")


def _composed(text: str) -> str:
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text
    # Sorting marks is quadratic in Python: endless runs of them, which no writing has, stay as they are. Such a run
    # shows in every 64th character, where looking is cheap.
    if not _run_of_marks(_LONG_RUN // 64).search(text[::64]):
        return unicodedata.normalize("NFC", text)
    pieces = _run_of_marks(_LONG_RUN).split(text)
    return "".join(piece if at % 2 else unicodedata.normalize("NFC", piece) for at, piece in enumerate(pieces))


@cache
def _run_of_marks(length: int) -> re.Pattern[str]:
    marks = "".join(char for code in range(0x300, 0x20000) if unicodedata.combining(char := chr(code)))
    return re.compile(f"([{re.escape(marks)}]{{{length},}})")
