"""Read wrapped prose as paragraphs: a line end inside a paragraph becomes a space.

Books come in lines of some 70 characters, which say nothing: a model would learn to break lines there. In verse, plays,
tunes, lists and program code line ends matter. Whether a text is wrapped prose, and how wide, is decided by its first
:data:`DECIDED_BY` characters (:func:`join_first`), and each of its paragraphs by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charlstm.text.sentences import LONGEST_END, ends_sentence
from charlstm.text.vocabulary import code_points

DECIDED_BY = 1_000_000
"""Characters of a file that decide whether it is wrapped prose, and that are joined at a time."""

Codes = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
LEAST_LINES, LEAST_SHARE = 20, 0.2
"""A text with fewer lines inside paragraphs is a short one (:func:`_width`); one with a smaller share of its characters
in them is left as it is."""
_SPACE, _NEWLINE, _HYPHEN, _DASH = map(ord, " \n-—")
_DOT, _QUESTION, _EXCLAMATION = map(ord, ".?!")


class _Lines(NamedTuple):
    """The lines that are not blank. A paragraph begins after a blank line, or with an indented line
    (:func:`_indented`)."""

    codes: Codes
    start: Numbers
    length: Numbers
    """Without the line end."""
    indent: Numbers
    """Spaces at the beginning, at most 10; a tab counts as 10."""
    initial: Numbers
    """What a line begins with: 1 a small letter, -1 a capital, 0 something else."""
    first: Flags
    """Whether a line is the first of its paragraph."""
    last: Flags


def _lines(codes: Codes) -> _Lines:
    stop = np.flatnonzero(codes == _NEWLINE)
    stop = stop if len(codes) and codes[-1] == _NEWLINE else np.append(stop, len(codes))
    start = np.concatenate([[0], stop[:-1] + 1])
    length = stop - start
    indent = np.zeros(len(start), np.int64)
    filled = np.flatnonzero(length)
    begin = codes[start[filled]]
    indent[filled[begin == ord("\t")]] = 10
    spaced = filled[begin == _SPACE]
    for column in range(1, 11):  # of lines that begin with so many spaces
        indent[spaced] = column
        spaced = spaced[length[spaced] > column]
        spaced = spaced[codes[start[spaced] + column] == _SPACE]
    kept = np.flatnonzero(indent < length)
    apart = np.diff(kept, prepend=-2) > 1
    start, length, indent = start[kept], length[kept], indent[kept]
    initial = _kinds(codes[start + indent], lambda char: char.islower() - char.isupper())
    apart |= _indented(codes[(start + length)[:-1] - 1], indent, initial, apart)
    return _Lines(codes, start, length, indent, initial, apart, np.append(apart[1:], True)[: len(kept)])


def _indented(ends: Codes, indent: Numbers, initial: Numbers, apart: Flags) -> Flags:
    """The lines that begin a paragraph by their indentation alone, in a text in which more paragraphs begin so than
    after a blank line: with no small letter, after a line that ends with no letter. Not so begin the indented lines of
    verse, program code, and paragraphs of which all lines but the first are indented. Of 305 books of prose whose blank
    lines were replaced by indentation 304 are joined, of 25 of verse none.

    ``ends``: the last characters of all lines but the last one.
    """
    begins = (indent > 1) & (indent <= 8) & ~apart
    found = np.flatnonzero(begins)
    sentences = (initial[found] != 1) & (_kinds(ends[found - 1], str.isalpha) == 0)
    return begins & bool(len(found) > apart.sum() and sentences.mean() >= 0.7)


def _kinds(codes: Codes, kind: Callable[[str], int | bool]) -> Numbers:
    """The ``kind`` of each character."""
    kinds = np.zeros(int(codes.max(initial=0)) + 1, np.int64)
    for code in np.flatnonzero(np.bincount(codes)).tolist():
        kinds[code] = kind(chr(code))
    return kinds[codes]


def _full(lines: _Lines, width: float) -> Flags:
    """Whether the first word of the next line would not have gone into ``width``."""
    full = lines.length > width
    full[:1] |= lines.initial[:1] == 1  # an excerpt may begin in the middle of a line
    rest = np.flatnonzero(~full & ~lines.last)
    at, left = (lines.start + lines.indent)[rest + 1], width - 1 - lines.length[rest]
    for _ in range(int(width)):
        inside = (at < len(lines.codes)) & (left >= 0)
        inside[inside] = lines.codes[at[inside]] > _SPACE
        if not inside.any():
            break
        at, left = at + inside, left - inside
    full[rest] = left < 0
    return full


def _sizes(lines: _Lines) -> tuple[Numbers, Numbers]:
    """Which lines begin a paragraph, and how many lines it has."""
    first = np.flatnonzero(lines.first)
    return first, np.diff(first, append=len(lines.start))


def _width(lines: _Lines) -> int | None:
    """The width to which a text is wrapped, if it looks like prose: its lines are full, and end in the middle of a
    sentence, with a letter before a small one.

    Only paragraphs of three lines and more count, without their last lines. Of 62 books of prose at least 81 % of the
    lines are full, and the shares of small letters and of letters are 1.40 or more together; of verse they are up to
    0.5, of program code with long comments up to 1.35.

    Of a short text paragraphs of two lines count too, and shares may be lower, as those of few lines are now and then:
    of 1,545 excerpts of 500 characters from books of prose 94 % are joined, of 250 from books of verse those that are
    from prefaces.
    """
    _, size = _sizes(lines)
    inner = np.flatnonzero(np.repeat(size >= 3, size) & ~lines.last)
    least, least_both, least_full = 0.55, 1.36, 0.75
    if len(inner) < LEAST_LINES:
        inner = np.flatnonzero(~lines.last)
        least, least_both, least_full = 0.5, 1.1, 0.7
    if len(inner) < 2 or lines.length[inner].sum() < LEAST_SHARE * lines.length.sum():
        return None
    width = int(np.percentile(lines.length[inner], 95))
    small = (lines.initial[inner + 1] == 1).mean()
    letters = _kinds(lines.codes[(lines.start + lines.length)[inner] - 1], str.isalpha).mean()
    if not (45 <= width <= 100 and min(small, letters) >= least and small + letters >= least_both):
        return None
    return width if _full(lines, 0.85 * width)[inner].mean() >= least_full else None


class Part(NamedTuple):
    """A part of a text whose paragraphs are joined."""

    codes: Codes
    begins: Numbers
    """Positions of the beginnings of lines that were joined to the line before."""
    second: Flags
    """Whether this line is the second of its paragraph."""


class Wrapping(NamedTuple):
    """How a text is wrapped, and how it sets what a line end may stand for."""

    width: int
    closed: bool
    """Whether no space follows a dash, — or --, that stands after a word."""
    closed_apart: bool
    """Whether none follows a dash that stands after a space."""
    wide: bool
    """Whether two spaces follow a sentence."""


def _wrapping(codes: Codes, width: int) -> Wrapping:
    at, middle = np.arange(2, len(codes) - 2), codes[2:-2]
    at_dash = at[((middle == _HYPHEN) | (middle == _DASH)) & (codes[3:-1] != _HYPHEN) & (codes[3:-1] != _NEWLINE)]
    dash, apart = _dashes(codes, at_dash)
    closed = np.where(codes[at_dash + 1] == _SPACE, -1, 1)
    after_word, after_space = (closed[dash & (apart == kind)].sum() for kind in (False, True))
    mark = (middle == _DOT) | (middle == _QUESTION) | (middle == _EXCLAMATION)
    following = codes[at[mark & (codes[3:-1] == _SPACE)] + 2]
    wide = following == _SPACE
    narrow = ~wide & (_kinds(following, str.islower) == 0)
    return Wrapping(width, after_word >= 0, after_space > 0, wide.sum() > narrow.sum())


def _dashes(codes: Codes, at: Numbers) -> tuple[Flags, Flags]:
    """Whether a dash, — or --, ends at each position, and whether it stands after a space."""
    last, before = codes[at], codes[at - 1]
    double = (last == _HYPHEN) & (before == _HYPHEN)
    before = np.where(double, codes[at - 2], before)
    return double | (last == _DASH), (before == _SPACE) | (before == _NEWLINE)


def _join(lines: _Lines, wrapping: Wrapping) -> Part:
    if not len(lines.start):
        return Part(lines.codes, np.zeros(0, np.int64), np.zeros(0, np.bool_))
    codes, width, (first, size) = lines.codes, wrapping.width, _sizes(lines)
    layout = np.where(lines.first, lines.indent > 8, lines.indent > 1) | (lines.length > width + 8)
    layout |= codes[lines.start + lines.indent] == ord("*")  # of a list, or around Project Gutenberg's licence
    short = np.add.reduceat(~lines.last & ~_full(lines, 0.8 * width), first, dtype=np.int64)
    capital = np.add.reduceat(~lines.first & (lines.initial == -1), first, dtype=np.int64)
    verse = (size >= 4) & (capital > 0.75 * (size - 1))
    joined = (size > 1) & ~np.logical_or.reduceat(layout, first) & (short <= 0.15 * (size - 1)) & ~verse
    chosen = np.flatnonzero(np.repeat(joined, size) & ~lines.first)
    begin = lines.start[chosen]
    last, (dash, apart) = codes[begin - 2], _dashes(codes, begin - 2)
    hyphen = (last == _HYPHEN) & ~dash & ~apart
    closed = np.where(apart, wrapping.closed_apart, wrapping.closed)
    whole = (last == _SPACE) | hyphen | (dash & closed)
    dropped = np.sort(np.concatenate([begin[whole] - 1, begin[codes[begin] == _SPACE]]))
    text, begins = np.delete(codes, dropped), begin - np.searchsorted(dropped, begin)
    text[begins[~whole] - 1] = _SPACE
    if wrapping.wide:
        ended = begins[~whole & (lines.initial[chosen] != 1)]
        ended = ended[[ends_sentence("".join(map(chr, text[max(at - LONGEST_END, 0) : at]))) for at in ended]]
        text = np.insert(text, ended, _SPACE)
        begins = begins + np.searchsorted(ended, begins, "right")
    return Part(text, begins, lines.first[chosen - 1])


def join_first(codes: Codes) -> tuple[Wrapping, Part] | None:
    """Join the lines of each paragraph in the first part of a text of wrapped prose, which decides how the text is
    wrapped; None for a text of another kind.

    What would still be taken for wrapped prose once it is joined, in lines of another width, is left as it is: so a
    text that was joined is not changed when it is read again.
    """
    lines = _lines(codes)
    width = _width(lines)
    if width is None:
        return None
    wrapping = _wrapping(codes, width)
    part = _join(lines, wrapping)
    return None if _width(_lines(part.codes)) is not None else (wrapping, part)


@dataclass(slots=True)
class Joined:
    """What was joined in a file."""

    _begins: list[Numbers] = field(default_factory=list)
    _second: list[Flags] = field(default_factory=list)

    def add(self, part: Part, at: int) -> None:
        """Add the part that begins at ``at`` of the file."""
        self._begins.append(part.begins + at)
        self._second.append(part.second)

    def begins(self) -> Numbers:
        """The positions in the file at which a line begins that was joined to the one before."""
        return np.concatenate([np.zeros(0, np.int64), *self._begins])

    def second(self) -> Flags:
        """Flags of these lines, True for the second line of a paragraph: as many as there are paragraphs."""
        return np.concatenate([np.zeros(0, np.bool_), *self._second])


def read_paragraphs(pieces: Iterable[str], joined: Joined) -> Iterator[str]:
    """Read the text of one file in paragraphs, and add what was joined to ``joined``.

    The result does not depend on how the text is cut into ``pieces``.
    """
    at, wrapping = 0, None
    for number, text in enumerate(_parts(pieces)):
        part = None
        if number == 0 and (found := join_first(code_points(text))) is not None:
            wrapping, part = found
        elif wrapping is not None:
            part = _join(_lines(code_points(text)), wrapping)
        if part is not None:
            joined.add(part, at)
            encoding = "latin-1" if part.codes.itemsize == 1 else "utf-32-le"
            text = part.codes.tobytes().decode(encoding, "surrogatepass")
        yield text
        at += len(text)


def _parts(pieces: Iterable[str]) -> Iterator[str]:
    """The text in parts of up to :data:`DECIDED_BY` characters that end with a paragraph, or with a line if there is no
    end of a paragraph in so many."""
    held = ""
    for piece in pieces:
        held += piece
        start = 0
        while len(held) - start >= DECIDED_BY:
            stop = start + DECIDED_BY
            for sign in ("\n\n", "\n"):
                if (found := held.rfind(sign, start, stop)) >= 0:
                    stop = found + len(sign)
                    break
            yield held[start:stop]
            start = stop
        held = held[start:]
    if held:
        yield held
