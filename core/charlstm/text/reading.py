"""Convert bytes to characters block by block: decoding, newlines and Unicode normalisation.

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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Literal, Self

from charlstm import arguments
from charlstm.display import plural, visible
from charlstm.errors import TextError
from charlstm.setting_fields import check_settings, setting, setting_fields, unknown_setting
from charlstm.storage import FileStamp
from charlstm.text.encoding import check_encoding

Lines = Literal["auto", "keep"]
SplitMode = Literal["tail", "blocks"]
"""Where the held-out part of a text lies: at its end, or in blocks from all over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """How a text is read. Raises :class:`TextError` for an invalid value."""

    normalize: bool = setting(True, "compose accents (Unicode's NFC), so that é is always one character")
    strip_boilerplate: bool = setting(False, "leave out a Project Gutenberg header and licence")
    encoding: str | None = setting(None, "the encoding of the files; without it, it is detected", metavar="NAME")
    fold_rare: int = setting(0, "read characters that occur fewer times than this as one symbol", low=0)
    pattern: str = setting(
        "*.txt",
        "which files of a folder or archive are read; several patterns are separated by commas",
        pattern=r"(?s).*\S.*",
        text="file name patterns such as *.txt",
        metavar="GLOB",
    )
    max_chars: int | None = setting(
        None, "read at most so many characters; without it all (of the built-in source code 8,000,000)", low=1
    )
    lines: Lines = setting(
        "keep",
        "read wrapped prose as paragraphs, without the line ends inside them, and of HTML only the text (auto), or "
        "keep them as they are",
    )
    units: str | None = setting(
        None,
        "read the text as units, such as names, poems or tunes, each from an empty state: one on each line (lines), "
        "between blank lines (blank-lines), or from each line on that begins with a prefix, such as X:",
        pattern=r"[^\n\r]+",
        text="lines, blank-lines, or the beginning of a line",
        option="--split-units",
        metavar="lines|blank-lines|PREFIX",
    )

    def __post_init__(self) -> None:
        check_settings(self, TextError)
        if self.units is not None and self.lines == "auto":
            raise TextError("A text that is read as units keeps its lines: leave out lines=auto, or the units")
        if self.encoding is not None:
            object.__setattr__(self, "encoding", check_encoding(self.encoding))

    def apply(self, text: str) -> str:
        """Convert ``text`` as if it had been read from a file: newlines and normalisation. For primes, whose lines
        are kept."""
        return Characters(self).feed(text, final=True)

    def for_another_text(self, encoding: str | None = None, max_chars: int | None = None) -> Self:
        """The options that read another text in the same way: without those that concern only a model's own text."""
        return replace(self, encoding=encoding, max_chars=max_chars, fold_rare=0, pattern=type(self)().pattern)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object for :meth:`from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; missing options get their defaults. Raises :class:`TextError`."""
        arguments.instance("The text options", values, Mapping, "values by name", error=TextError)  # of a JSON file
        known = setting_fields(cls)
        for name in values:
            if name not in known:
                raise TextError(f"There is no text option {name!r:.60}; {unknown_setting(name, known)}")
        return cls(**values)


USUAL = TextOptions(lines="auto", strip_boilerplate=True)
"""How command and app read a text by default. ``TextOptions()`` changes nothing in a text."""


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """A Project Gutenberg ``header`` or ``licence`` (the ``kind``) in a text."""

    kind: str
    chars: int
    lines: int = 0
    """Line ends in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """What was found while reading a text."""

    encoding: str
    """Python's name of the encoding; ``mixed`` when the files differ."""
    newlines: str = "none"
    """``LF``, ``CRLF``, ``CR``, ``mixed`` or ``none``."""
    invalid_bytes: int = 0
    """Bytes that are not valid in the encoding; they became U+FFFD."""
    boilerplate: tuple[Boilerplate, ...] = ()
    """Headers and licences that were found, whether they were left out or not."""
    version: str | None = None
    """The version of Python that a built-in text belongs to."""
    addresses: tuple[str, ...] = ()
    """Where texts among the files were fetched from."""
    joined_lines: int = 0
    """Lines of the files that were joined into ``paragraphs``."""
    paragraphs: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What documents have beside their text, such as notes and images, and how many of each."""
    line_begins: str = ""
    """The name in the cache of the positions of those line begins in the files that follow no line end any more."""

    @property
    def joined(self) -> str:
        """``29,546 lines joined into 5,711 paragraphs``; empty when none were."""
        if not self.paragraphs:
            return ""
        return f"{plural(self.joined_lines, 'line')} joined into {plural(self.paragraphs, 'paragraph')}"

    def joined_of(self, lines: int) -> str:
        """The same, with the number of lines before: ``29,546 of 39,985 lines …``. ``lines`` are those of the text."""
        before = lines + self.joined_lines - self.paragraphs
        return f"{self.joined_lines:,} of {before:,}{self.joined.removeprefix(f'{self.joined_lines:,}')}"

    @property
    def left_out_words(self) -> str:
        """``3 images, 12 notes, the table of contents``; empty when nothing was left out."""
        words = {kind: plural(number, kind) for kind, number in self.left_out.items()}
        if "table of contents" in words:
            words["table of contents"] = "the table of contents"
        return visible(", ".join(words.values()), keep="")


@dataclass(slots=True)
class Tally:
    """What is collected while files are read."""

    invalid_bytes: int = 0
    newlines: set[str] = field(default_factory=set)
    encodings: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    boilerplate: list[Boilerplate] = field(default_factory=list)
    joined_lines: int = 0
    paragraphs: int = 0
    line_begins: list[Any] = field(default_factory=list)
    """Arrays of the positions at which lines of the files begin that do not follow a line end any more."""
    stamps: list[FileStamp | None] = field(default_factory=list)
    """A stamp of each file; None for an unopened file."""

    def newline_style(self) -> str:
        names = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
        return "mixed" if len(self.newlines) > 1 else names[self.newlines.copy().pop()] if self.newlines else "none"


class Characters:
    """Convert text piece by piece: newlines to ``\\n``, then normalisation to NFC.

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
            cut = len(text) if final else _safe_cut(text)
            self._held = text[cut:]
            text = text[:cut]
        return _composed(text) if self._options.normalize else text


def decoded(blocks: Iterable[bytes], encoding: str, options: TextOptions, tally: Tally) -> Iterator[str]:
    """Decode and convert ``blocks`` of bytes. Invalid bytes become U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)(_REPLACE)

    def pieces() -> Iterator[str]:
        for block in blocks:
            yield _decode(decoder, block, tally)
        yield _decode(decoder, b"", tally, final=True)

    return converted(pieces(), options, tally)


def converted(pieces: Iterable[str], options: TextOptions, tally: Tally) -> Iterator[str]:
    """Convert ``pieces`` of text; gives one for each, and the last characters."""
    characters = Characters(options, tally)
    for piece in pieces:
        yield characters.feed(piece)
    yield characters.feed("", final=True)


_REPLACE = "charlstm-replace"
_replaced = threading.local()


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _replaced.count = getattr(_replaced, "count", 0) + error.end - error.start
    return "\ufffd", error.end


codecs.register_error(_REPLACE, _replace)


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, tally: Tally, *, final: bool = False) -> str:
    _replaced.count = 0
    text = decoder.decode(block, final)
    tally.invalid_bytes += _replaced.count
    return text


_MAX_HELD = 1_000_000
"""Characters that are held back at most to find a position at which the text can be cut."""
_LONG_RUN = 1024


def _safe_cut(text: str) -> int:
    """The last position in ``text`` at which it can be cut, so that both parts can be converted separately."""
    for cut in range(len(text) - 1, max(len(text) - _MAX_HELD, 0), -1):
        if _never_composes(text[cut]):
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
