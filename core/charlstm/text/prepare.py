"""Encode a text in two passes and put it into the cache.

The first pass writes the code points to a temporary file, as uint8, uint16 or uint32 for each block, and counts them.
Then the vocabulary is known, and the second pass converts code points to ids with a lookup table, which also folds rare
characters.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from charlstm.errors import TextError
from charlstm.paths import cache_dir
from charlstm.storage import FileStamp
from charlstm.system import sync_file
from charlstm.text import builtin, cache
from charlstm.text.boilerplate import without_boilerplate
from charlstm.text.paragraphs import Joined, Numbers
from charlstm.text.reading import Boilerplate, ReadReport, Tally, TextOptions
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


def prepare(texts: Sequence[Resolved], options: TextOptions, progress: ProgressCallback | None = None) -> Prepared:
    """Read a text, encode it and store it in the cache. Raises :class:`TextError`.

    A second one of ``texts``, for validation, follows it in the same ids, so that both have one vocabulary.
    """
    progress, began_ns, tally = progress or ignore, time.time_ns(), Tally()
    try:
        with cache.temporary_folder() as folder, (folder / "codes").open("w+b") as file:
            spool, start = _Spool(file), 0
            for text in texts:
                start, known = spool.chars, len(tally.boilerplate)
                items = (copy_stdin(folder / "stdin", progress),) if text.is_stdin else text.items
                _read(items, options, spool, progress, tally)
                if spool.chars == start:
                    what = "has nothing but images or notes" if tally.left_out else "is empty"
                    if len(tally.boilerplate) > known:
                        what = "has nothing but Project Gutenberg licence text"
                    raise TextError(f"{_shown(text)} {what}: choose another text")
            validation_chars = spool.chars - start if len(texts) > 1 else 0
            fingerprint = _encode(spool, options, folder, progress, validation_chars)
            items = tuple(item for text in texts for item in text.items)
            begins = np.concatenate(tally.line_begins)
            name = cache.store_line_begins(fingerprint, begins) if len(begins) else ""
            return Prepared(fingerprint, _report(items, tally, name), tally.stamps, began_ns)
    except OSError as error:
        raise TextError(
            f"The text cannot be prepared in {cache_dir()} ({error.strerror or error}): free some space there, or set "
            "CHARLSTM_CACHE to another folder"
        ) from None


def _shown(found: Resolved) -> str:
    if found.is_stdin:
        return "Standard input"
    return found.items[0].shown if len(found.items) == 1 else f"Every file in {found.name}"


def _read(
    items: tuple[Item, ...], options: TextOptions, spool: _Spool, progress: ProgressCallback, tally: Tally
) -> None:
    """Add the characters of ``items`` to ``spool``, as many as ``options`` allow, and what is noticed to ``tally``.

    Without a limit, a long built-in text has one of its own.
    """
    sizes = [*map(size_of, items)]
    total, before, last = sum(sizes), 0, "\n\n"
    apart = "\n\n" if options.units == BLANK_LINES else "\n"  # each file starts a new line, or a new unit
    limit = None if options.max_chars is None else spool.chars + options.max_chars
    for item, size in zip(items, sizes, strict=True):
        if limit is not None and spool.chars >= limit:
            if item.path is not None:
                tally.stamps.append(None)
            continue

        def report(one: ReadProgress, before: int = before) -> None:
            progress(ReadProgress(before + one.done, total, one.stage))

        joint = apart[len(last) - len(last.rstrip("\n")) :]
        start, stop = spool.chars + len(joint), limit
        if limit is None and item.builtin is not None and (most := builtin.TEXTS[item.builtin].most_chars) is not None:
            stop = start + most
        joined, left_out = Joined(), list[Boilerplate]()
        pieces = item_text(item, options, tally, joined, report)
        for piece in without_boilerplate(pieces, left_out, strip=options.strip_boilerplate):
            if not piece:
                continue
            spool.add(joint)
            joint = ""
            if stop is not None:
                piece = piece[: max(stop - spool.chars, 0)]
            spool.add(piece)
            last = (last + piece[-2:])[-2:]
            if stop is not None and spool.chars >= stop:
                break
        tally.boilerplate += left_out
        chars = max(spool.chars - start, 0)
        begins = _line_begins(joined, left_out if options.strip_boilerplate else [], chars, tally)
        tally.line_begins.append(start + begins)
        before += size


def _line_begins(joined: Joined, left_out: list[Boilerplate], chars: int, tally: Tally) -> Numbers:
    """Where a line of a file begins in the ``chars`` characters that are kept of it without following a line end any
    more: lines that were joined to the one before, which are counted in ``tally``, and those of what was ``left_out``.
    """
    lines = {part.kind: part.lines for part in left_out}
    begins = joined.begins() - sum(part.chars for part in left_out if part.kind == "header")
    second = joined.second()[(begins > 0) & (begins < chars)]
    paragraphs = int(second.sum())
    tally.paragraphs += paragraphs
    tally.joined_lines += len(second) + paragraphs
    if "licence" not in lines:  # what follows the characters was only read ahead of the limit
        begins = begins[begins < chars]
    header, licence = np.zeros(lines.get("header", 0), np.int64), np.full(lines.get("licence", 0), chars, np.int64)
    return np.concatenate([header, begins.clip(0, chars), licence])


class _Spool:
    """A temporary file of the text's code points for the second pass, and their counts."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._segments: list[tuple[np.dtype[Any], int]] = []
        self.counts = np.zeros(_UNICODE, np.int64)
        self.chars = 0

    def add(self, text: str) -> None:
        if not text:
            return
        codes = code_points(text)
        counted = np.bincount(codes)
        self.counts[: len(counted)] += counted
        if codes.dtype.itemsize > 2 and codes.max() <= 0xFFFF:
            codes = codes.astype("<u2")
        self._file.write(codes.data)
        self.chars += len(codes)
        if self._segments and self._segments[-1][0] == codes.dtype:
            self._segments[-1] = (codes.dtype, self._segments[-1][1] + len(codes))
        else:
            self._segments.append((codes.dtype, len(codes)))

    def pieces(self) -> Iterator[npt.NDArray[Any]]:
        """Read all code points, in order, in pieces of about 4 MB."""
        self._file.seek(0)
        for dtype, count in self._segments:
            while count:
                size = min(count, _PIECE // dtype.itemsize)
                yield np.frombuffer(self._file.read(size * dtype.itemsize), dtype)
                count -= size


def _encode(
    spool: _Spool, options: TextOptions, folder: Path, progress: ProgressCallback, validation_chars: int
) -> str:
    """Write ``ids.bin`` in ``folder``, store it in the cache and return its fingerprint."""
    # Lone surrogates, which a few encodings and strings can have, are not characters.
    surrogates = int(spool.counts[0xD800:0xE000].sum())
    spool.counts[0xD800:0xE000] = 0
    spool.counts[ord(REPLACEMENT)] += surrogates
    seen = np.flatnonzero(spool.counts)
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


def _report(items: tuple[Item, ...], tally: Tally, line_begins: str) -> ReadReport:
    return ReadReport(
        encoding=next(iter(tally.encodings)) if len(tally.encodings) == 1 else "mixed",
        newlines=tally.newline_style(),
        invalid_bytes=tally.invalid_bytes,
        boilerplate=tuple(tally.boilerplate),
        addresses=tuple(item.address for item in items if item.address),
        version=builtin.version() if any(item.builtin for item in items) else None,
        joined_lines=tally.joined_lines,
        paragraphs=tally.paragraphs,
        left_out=dict(sorted(tally.left_out.items())),
        line_begins=line_begins,
    )
