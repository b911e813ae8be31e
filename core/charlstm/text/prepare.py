"""Encode a text in two passes and put it into the cache.

The first pass writes the code points to a temporary file, as uint8, uint16 or uint32 for each block, and counts them.
Then the vocabulary is known, and the second pass converts code points to ids with a lookup table. The second pass also
leaves out boilerplate and folds rare characters.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from charlstm.errors import TextError
from charlstm.storage import FileStamp
from charlstm.system import sync_file
from charlstm.text import builtin, cache
from charlstm.text.boilerplate import Ends
from charlstm.text.paragraphs import Joined
from charlstm.text.reading import FILES_NAMED, Boilerplate, ReadReport, Tally, TextOptions
from charlstm.text.sources import (
    Item,
    ProgressCallback,
    ReadProgress,
    Resolved,
    copy_stdin,
    ignore,
    item_text,
    size_of,
)
from charlstm.text.unit_kinds import BLANK_LINES
from charlstm.text.vocabulary import REPLACEMENT, Vocabulary, code_points

_UNICODE = 0x110000
_PIECE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text that is in the cache under ``fingerprint``. ``stamps`` are those of its files, which were read after
    ``began_ns`` (Unix time); None for a file that was not opened, because the text had enough characters before it."""

    fingerprint: str
    report: ReadReport
    stamps: list[FileStamp | None]
    began_ns: int


def prepare(
    found: Resolved,
    options: TextOptions,
    progress: ProgressCallback | None = None,
    validation: Resolved | None = None,
) -> Prepared:
    """Read the text ``found``, encode it and store it in the cache. Raises :class:`TextError`.

    A text for ``validation`` follows it in the same ids, so that both have one vocabulary.
    """
    progress, began_ns = progress or ignore, time.time_ns()
    texts = [found] if validation is None else [found, validation]
    try:
        with cache.temporary_folder() as folder, (folder / "codes").open("w+b") as file:
            spool, reading = _Spool(file), _Reading()
            ends = []
            for text in texts:
                start = spool.chars
                items = (copy_stdin(folder / "stdin", progress),) if text.is_stdin else text.items
                _read(items, options, spool, progress, reading)
                if spool.chars == start:
                    what = "has nothing but images or notes" if reading.tally.left_out else "is empty"
                    raise TextError(f"{_shown(text)} {what}: choose another text")
                ends.append(spool.chars)
            if options.strip_boilerplate and reading.boilerplate:
                spool.leave_out(reading.boilerplate)
                ends = [end - sum(part.chars for part in reading.boilerplate if part.start < end) for end in ends]
            for text, start, end in zip(texts, [0, *ends], ends, strict=False):
                if start == end:
                    raise TextError(
                        f"{_shown(text)} has nothing but Project Gutenberg licence text: keep that, or choose "
                        "another text"
                    )
            fingerprint = _encode(spool, options, folder, progress, validation_chars=ends[-1] - ends[0])
            items = tuple(item for text in texts for item in text.items)
            left_out = reading.boilerplate if options.strip_boilerplate else []
            begins = _line_begins(reading.joined, left_out)
            name = cache.store_line_begins(fingerprint, begins) if len(begins) else ""
            return Prepared(fingerprint, _report(items, reading, name), reading.stamps, began_ns)
    except OSError as error:
        raise cache.disk_full_error(error) from None


def _shown(found: Resolved) -> str:
    if found.is_stdin:
        return "Standard input"
    return found.items[0].shown if len(found.items) == 1 else f"Every file in {found.name}"


@dataclass(slots=True)
class _Reading:
    tally: Tally = field(default_factory=Tally)
    boilerplate: list[Boilerplate] = field(default_factory=list)
    joined: Joined = field(default_factory=Joined)
    stamps: list[FileStamp | None] = field(default_factory=list)


def _read(
    items: tuple[Item, ...],
    options: TextOptions,
    spool: _Spool,
    progress: ProgressCallback,
    reading: _Reading,
) -> None:
    """Add the characters of ``items`` to ``spool``, as many as ``options`` allow, and what is noticed to ``reading``.

    Without a limit, a long built-in text has one of its own.
    """
    sizes = [*map(size_of, items)]
    total, before, last = sum(sizes), 0, "\n\n"
    apart = "\n\n" if options.units == BLANK_LINES else "\n"  # each file starts a new line, or a new unit
    limit = None if options.max_chars is None else spool.chars + options.max_chars
    for item, size in zip(items, sizes, strict=True):
        if limit is not None and spool.chars >= limit:
            if item.path is not None:
                reading.stamps.append(None)
            continue

        def report(one: ReadProgress, before: int = before) -> None:
            progress(ReadProgress(before + one.done, total, one.stage))

        joint = apart[len(last) - len(last.rstrip("\n")) :]
        ends = Ends(spool.chars + len(joint))
        most = None if item.builtin is None else builtin.TEXTS[item.builtin].most_chars
        if limit is not None:
            most = max(limit - spool.chars - len(joint), 1)  # 1 shows if there is any text
        opened: list[FileStamp] = []
        reading.joined.start = spool.chars + len(joint)
        for piece in item_text(item, options, reading.tally, reading.joined, progress=report, stamps=opened, most=most):
            if not piece:
                continue
            if joint:
                spool.add(joint)
                joint = ""
            if limit is not None:
                piece = piece[: limit - spool.chars]
            spool.add(piece)
            ends.feed(piece)
            last = (last + piece[-2:])[-2:]
        if item.builtin is None:
            reading.boilerplate.extend(ends.boilerplate())
        reading.stamps += opened
        before += size


class _Spool:
    """A temporary file of the text's code points for the second pass, and their counts."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._segments: list[tuple[np.dtype[Any], int]] = []
        self._left_out: list[Boilerplate] = []
        self.counts = np.zeros(_UNICODE, np.int64)
        self.end = ord(REPLACEMENT) + 1
        """Above the highest code point that was counted, and the replacement: to search all of them takes 2 ms."""
        self.chars = 0

    def add(self, text: str) -> None:
        if not text:
            return
        codes = code_points(text)
        self._count(codes)
        if codes.dtype.itemsize > 2 and codes.max() <= 0xFFFF:
            codes = codes.astype("<u2")
        self._file.write(codes.data)
        self.chars += len(codes)
        if self._segments and self._segments[-1][0] == codes.dtype:
            self._segments[-1] = (codes.dtype, self._segments[-1][1] + len(codes))
        else:
            self._segments.append((codes.dtype, len(codes)))

    def _count(self, codes: npt.NDArray[Any]) -> None:
        counted = np.bincount(codes)
        self.counts[: len(counted)] += counted
        self.end = max(self.end, len(counted))

    def leave_out(self, parts: list[Boilerplate]) -> None:
        """Leave out these parts of the text, also in the counts."""
        self._left_out = sorted(parts, key=lambda part: part.start)
        self.counts[:] = 0
        for codes in self.pieces():
            self._count(codes)
        self.chars = int(self.counts.sum())

    def pieces(self) -> Iterator[npt.NDArray[Any]]:
        """Read all code points, in order, in pieces of about 4 MB."""
        self._file.seek(0)
        position = 0
        for dtype, count in self._segments:
            while count:
                size = min(count, _PIECE // dtype.itemsize)
                codes = np.frombuffer(self._file.read(size * dtype.itemsize), dtype)
                yield self._without(codes, position)
                position += size
                count -= size

    def _without(self, codes: npt.NDArray[Any], position: int) -> npt.NDArray[Any]:
        inside = [
            (max(gap.start - position, 0), min(gap.start + gap.chars - position, len(codes)))
            for gap in self._left_out
            if gap.start < position + len(codes) and gap.start + gap.chars > position
        ]
        for start, stop in reversed(inside):
            codes = np.concatenate([codes[:start], codes[stop:]])
        return codes


def _encode(
    spool: _Spool, options: TextOptions, folder: Path, progress: ProgressCallback, validation_chars: int
) -> str:
    """Write ``ids.bin`` in ``folder``, store it in the cache and return its fingerprint."""
    # Lone surrogates, which a few encodings and strings can have, are not characters.
    surrogates = int(spool.counts[0xD800:0xE000].sum())
    spool.counts[0xD800:0xE000] = 0
    spool.counts[ord(REPLACEMENT)] += surrogates
    seen = np.flatnonzero(spool.counts[: spool.end])
    vocabulary = Vocabulary.from_counts(
        {chr(code): int(spool.counts[code]) for code in seen}, fold_rare=options.fold_rare
    )
    table = np.zeros(_UNICODE, vocabulary.dtype.newbyteorder("<"))
    table[0xD800:0xE000] = vocabulary.index(REPLACEMENT) or 0
    if vocabulary.replacement is not None:
        table[seen] = vocabulary.index(vocabulary.replacement)
    table[vocabulary.codes] = np.arange(len(vocabulary))
    counts = np.bincount(table[seen], spool.counts[seen], minlength=len(vocabulary)).astype(np.int64)

    digest = cache.start_digest(vocabulary, validation_chars)
    total = spool.chars * table.itemsize
    done = 0
    with (folder / cache.IDS).open("wb") as file:
        for codes in spool.pieces():
            ids = table[codes]
            file.write(ids.data)
            digest.update(ids.data)
            done += ids.nbytes
            progress(ReadProgress(done, total, "encoding"))
        file.flush()
        sync_file(file.fileno())
    fingerprint: str = digest.hexdigest()
    cache.store_text(folder, fingerprint, vocabulary, counts, validation_chars)
    return fingerprint


def _line_begins(joined: Joined, left_out: list[Boilerplate]) -> npt.NDArray[np.int64]:
    """The positions in the text at which a line of a file begins that does not follow a line end any more: lines that
    were joined to the one before, and those of boilerplate that was ``left_out``."""
    begins, parts = joined.begins(), sorted(left_out, key=lambda part: part.start)
    if not parts:
        return begins
    start, chars, lines = (np.array(each) for each in zip(*((p.start, p.chars, p.lines) for p in parts), strict=True))
    before = np.cumsum(chars) - chars  # characters left out before each part
    last = np.searchsorted(start, begins, "right") - 1  # the last part that begins before
    gone = np.where(last < 0, 0, before[last] + np.minimum(begins - start[last], chars[last]))
    return np.sort(np.concatenate([begins - gone, np.repeat(start - before, lines)]))


def _report(items: tuple[Item, ...], reading: _Reading, line_begins: str) -> ReadReport:
    tally, joined = reading.tally, reading.joined
    return ReadReport(
        encoding=next(iter(tally.encodings)) if len(tally.encodings) == 1 else "mixed",
        bom=tally.bom,
        newlines=tally.newline_style(),
        invalid_bytes=tally.invalid_bytes,
        bytes=tally.bytes,
        cleanable=dict(sorted(tally.cleanable.items())),
        boilerplate=tuple(reading.boilerplate),
        files=tuple(str(item.path) for item in items[:FILES_NAMED] if item.path is not None),
        file_count=len(items) or 1,
        addresses=tuple(item.address for item in items if item.address),
        version=builtin.version() if any(item.builtin for item in items) else None,
        joined_lines=len(joined.begins()) + joined.paragraphs,
        paragraphs=joined.paragraphs,
        left_out=dict(sorted(tally.left_out.items())),
        line_begins=line_begins,
    )
