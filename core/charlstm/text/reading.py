"""Convert bytes to characters block by block: decoding, newlines, cleaning and Unicode normalisation.

The result does not depend on the size of the blocks. :class:`TextOptions` says what is done; it is saved with the model
and applied to primes too.
"""

from __future__ import annotations

import codecs
import io
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal, Self, TypeVar, get_args

from charlstm import arguments
from charlstm.display import plural
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
"""Characters that are rarely wanted in a training text, and their replacements with ``clean``."""


Lines = Literal["auto", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """How a text is read. Raises :class:`TextError` for an invalid value."""

    normalize: bool = True
    """Convert to Unicode's composed form (NFC), so that é is always one character."""
    strip_boilerplate: bool = False
    """Leave out a Project Gutenberg header and licence."""
    clean: bool = False
    """Remove soft hyphens and the like, and replace non-breaking spaces by spaces, form feeds by newlines."""
    encoding: str | None = None
    """The encoding of the files; None detects it."""
    fold_rare: int = 0
    """Replace characters that occur fewer times by one replacement symbol; 0 replaces none."""
    pattern: str = "*.txt"
    """Which files of a folder are read; several patterns are separated by commas."""
    max_chars: int | None = None
    """The largest number of characters to read; None reads all (of the built-in source code 8,000,000)."""
    lines: Lines = "keep"
    """``auto`` reads wrapped prose as paragraphs: a line end inside a paragraph becomes a space. ``keep`` reads the
    lines as they are."""

    def __post_init__(self) -> None:
        for name in ("normalize", "strip_boilerplate", "clean"):
            if not isinstance(getattr(self, name), bool):
                raise TextError(f"{name} takes true or false, not {getattr(self, name)!r:.60}")
        if not isinstance(self.lines, str) or self.lines not in get_args(Lines):
            raise TextError(f"lines takes auto or keep, not {self.lines!r:.60}")
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
        """Convert ``text`` as if it had been read from a file: newlines, cleaning, normalisation. For primes, whose
        lines are kept."""
        return Characters(self).feed(arguments.text("text", text, error=TextError), final=True)

    def for_another_text(self, encoding: str | None = None, max_chars: int | None = None) -> Self:
        """The options that read another text in the same way: without those that concern only a model's own text."""
        return replace(self, encoding=encoding, max_chars=max_chars, fold_rare=0, pattern=type(self)().pattern)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; missing options get their defaults. Raises :class:`TextError`."""
        arguments.instance("The text options", values, Mapping, "values by name", error=TextError)
        known = {spec.name for spec in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise TextError(f"There is no text option {unknown[0]!r:.60}; there are {', '.join(sorted(known))}")
        return cls(**values)


USUAL = TextOptions(lines="auto", strip_boilerplate=True)
"""How command and app read a text where nothing else is asked for. ``TextOptions()`` reads it as it is, as all versions
until 0.3 did."""


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """A Project Gutenberg ``header`` or ``licence`` (the ``kind``) in a text.

    ``start`` and ``chars`` are positions in the text before anything was left out.
    """

    kind: str
    start: int
    chars: int
    lines: int = 0
    """Line ends in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """What was found while reading a text."""

    encoding: str
    """Python's name of the encoding; ``mixed`` when the files differ."""
    bom: bool = False
    newlines: str = "none"
    """``LF``, ``CRLF``, ``CR``, ``mixed`` or ``none``."""
    invalid_bytes: int = 0
    """Bytes that are not valid in the encoding; they became U+FFFD."""
    bytes: int = 0
    cleanable: Mapping[str, int] = field(default_factory=dict)
    """How often each character of :data:`CLEANED` was found in what was read, whether it was cleaned or not."""
    boilerplate: tuple[Boilerplate, ...] = ()
    """Headers and licences that were found, whether they were left out or not."""
    files: tuple[str, ...] = ()
    """The files that were read, at most :data:`FILES_NAMED` of them."""
    file_count: int = 1
    version: str | None = None
    """The version of Python that a built-in text belongs to."""
    joined_lines: int = 0
    """Lines of the files that were joined into ``paragraphs``."""
    paragraphs: int = 0
    line_begins: str = ""
    """The name in the cache of the places at which lines of the files begin that do not follow a line end any more."""

    @property
    def joined(self) -> str:
        """``29,546 lines joined into 5,711 paragraphs``; empty when none were."""
        if not self.paragraphs:
            return ""
        return f"{plural(self.joined_lines, 'line')} joined into {plural(self.paragraphs, 'paragraph')}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Raises :class:`TypeError` or :class:`KeyError` for an invalid report."""
        boilerplate = tuple(Boilerplate(**part) for part in values["boilerplate"])
        cleanable = dict(values["cleanable"])
        report = cls(**{**values, "cleanable": cleanable, "boilerplate": boilerplate, "files": tuple(values["files"])})
        strings = (report.encoding, report.newlines, *report.files, *(part.kind for part in boilerplate))
        strings += (report.line_begins,)
        numbers = (report.invalid_bytes, report.bytes, report.file_count, *cleanable.values())
        numbers += tuple(number for part in boilerplate for number in (part.start, part.chars, part.lines))
        numbers += (report.joined_lines, report.paragraphs)
        if (
            not CLEANED.keys() >= cleanable.keys()
            or not all(isinstance(string, str) for string in strings)
            or not all(type(number) is int for number in numbers)
        ):
            raise TypeError("not a report on a text")
        return report


FILES_NAMED = 100


@dataclass(slots=True)
class Tally:
    """Counts that are collected while files are read."""

    bytes: int = 0
    invalid_bytes: int = 0
    newlines: set[str] = field(default_factory=set)
    encodings: set[str] = field(default_factory=set)
    bom: bool = False
    cleanable: Counter[str] = field(default_factory=Counter)

    def copy(self) -> Tally:
        """The counts as they are now."""
        return replace(
            self, newlines=self.newlines.copy(), encodings=self.encodings.copy(), cleanable=self.cleanable.copy()
        )

    def become(self, other: Tally) -> None:
        """Take over the counts of ``other``."""
        for spec in fields(self):
            setattr(self, spec.name, getattr(other, spec.name))

    def newline_style(self) -> str:
        names = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
        return "mixed" if len(self.newlines) > 1 else names[self.newlines.copy().pop()] if self.newlines else "none"


class Characters:
    """Convert text piece by piece: newlines to ``\\n``, then cleaning, then normalisation to NFC.

    The concatenated results do not depend on how the text is cut into pieces.
    """

    def __init__(self, options: TextOptions, tally: Tally | None = None) -> None:
        self._options = options
        self._tally = tally if tally is not None else Tally()
        self._newlines = io.IncrementalNewlineDecoder(None, translate=True)
        self._held = ""

    def feed(self, piece: str, *, final: bool = False) -> str:
        """Add ``piece`` and return the characters that later pieces cannot change; with ``final``, all that remain."""
        text = self._held + self._newlines.decode(piece, final=final)
        if seen := self._newlines.newlines:
            self._tally.newlines.update((seen,) if isinstance(seen, str) else seen)
        if self._options.normalize:
            cut = len(text) if final else _safe_cut(text, self._options)
            self._held = text[cut:]
            text = text[:cut]
        for char in _cleanable(text):
            self._tally.cleanable[char] += text.count(char)
            if self._options.clean:
                text = text.replace(char, CLEANED[char])
        return _composed(text) if self._options.normalize else text

    def remember(self) -> Callable[[], None]:
        """Gives a function that forgets what is fed from now on, also in the tally. It may be called once."""
        held, newlines, tally = self._held, self._newlines.getstate(), self._tally.copy()

        def go_back() -> None:
            self._held = held
            self._newlines = io.IncrementalNewlineDecoder(None, translate=True)  # one that has not seen any newlines
            self._newlines.setstate(newlines)
            self._tally.become(tally)

        return go_back


def decoded(
    blocks: Iterable[bytes],
    encoding: str,
    options: TextOptions,
    tally: Tally,
    most: int | None = None,
    check: Callable[[], None] | None = None,
) -> Iterator[str]:
    """Decode and convert ``blocks`` of bytes; gives one piece of text for each. Invalid bytes become U+FFFD.

    ``most`` and ``check`` are those of :func:`converted`.
    """
    decoder = codecs.getincrementaldecoder(encoding)(_REPLACE)
    characters = Characters(options, tally)

    def feed(block: bytes, final: bool) -> str:
        return characters.feed(_decode(decoder, block, tally, final=final), final=final)

    def remember() -> Callable[[], None]:
        state, forget = decoder.getstate(), characters.remember()

        def go_back() -> None:
            decoder.setstate(state)
            forget()

        return go_back

    return _up_to(most, blocks, b"", feed, remember, check)


def converted(
    pieces: Iterable[str],
    options: TextOptions,
    tally: Tally,
    most: int | None = None,
    check: Callable[[], None] | None = None,
) -> Iterator[str]:
    """Convert ``pieces`` of text.

    Without ``most`` gives one piece for each, and the last characters. With it, it ends after ``most`` characters, and
    then has added to ``tally`` what is in these: but for what had to be read to know the last of them, a character or
    two. ``check`` is called after each of the given pieces, whose whole is in ``tally`` then.
    """
    characters = Characters(options, tally)
    return _up_to(
        most, pieces, "", lambda piece, final: characters.feed(piece, final=final), characters.remember, check
    )


_Block = TypeVar("_Block", bytes, str)


def _up_to(
    most: int | None,
    blocks: Iterable[_Block],
    nothing: _Block,
    feed: Callable[[_Block, bool], str],
    remember: Callable[[], Callable[[], None]],
    check: Callable[[], None] | None,
) -> Iterator[str]:
    """What ``feed`` makes of ``blocks``, up to ``most`` characters.

    The block in which they end is fed again in halves, of which the later one is left out if it is not needed: this
    takes as long again as that block.
    """
    left = most
    for block in blocks:
        go_back = None if left is None else remember()
        piece = feed(block, False)
        if check is not None:
            check()
        if left is None or go_back is None or len(piece) < left:
            left = None if left is None else left - len(piece)
            yield piece
            continue
        go_back()
        while block:
            half = block[: max(len(block) // 2, 1)]
            go_back = remember()
            piece = feed(half, False)
            if len(half) < len(block) and len(piece) >= left:
                go_back()
                block = half
                continue
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return
            block = block[len(half) :]
    piece = feed(nothing, True)
    if check is not None:
        check()
    yield piece[:left]


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
    """The characters of :data:`CLEANED` that are in ``text``; in ASCII text, only ASCII ones are searched for."""
    ascii_only = text.isascii()
    return [char for char in CLEANED if (char < "\x80" or not ascii_only) and char in text]


_MAX_HELD = 1_000_000
"""Characters that are held back at most to find a position at which the text can be cut."""
_LONG_RUN = 1024


def _safe_cut(text: str, options: TextOptions) -> int:
    """The last position in ``text`` at which it can be cut, so that both parts can be converted separately.

    Between a character that cleaning removes and the one before it there is none: what follows may compose with that.
    """
    for cut in range(len(text) - 1, max(len(text) - _MAX_HELD, 0), -1):
        if _never_composes(text[cut]) and not (options.clean and CLEANED.get(text[cut]) == ""):
            return cut
    return 0 if len(text) < _MAX_HELD else len(text)


def _never_composes(char: str) -> bool:
    """Whether ``char`` never composes with the characters before it.

    False for marks, vowel and final jamo and letters outside the basic plane, some of which compose in this or may
    compose in a later version of Unicode.
    """
    if char < "\u0300":
        return True
    kind = unicodedata.category(char)[0]
    return kind in "ZPSCN" or (kind == "L" and char < "\U00010000" and not "\u1160" <= char <= "\u11ff")


def _composed(text: str) -> str:
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text
    # Python's normalisation takes quadratic time for runs of combining marks, so runs of over 1,024 (no script has
    # them) are left as they are. Whether there is one is found quickly by searching only every 64th character.
    if not _run_of_marks(_LONG_RUN // 64).search(text[::64]):
        return unicodedata.normalize("NFC", text)
    pieces = _run_of_marks(_LONG_RUN).split(text)
    return "".join(piece if index % 2 else unicodedata.normalize("NFC", piece) for index, piece in enumerate(pieces))


@cache
def _run_of_marks(length: int) -> re.Pattern[str]:
    marks = "".join(char for code in range(0x300, 0x20000) if unicodedata.combining(char := chr(code)))
    return re.compile(f"([{re.escape(marks)}]{{{length},}})")
