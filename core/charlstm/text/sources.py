"""Find and read the sources of a text: files, folders, standard input, built-in texts and strings.

Only regular files are opened, so that nothing can wait for ever, as a pipe would. ``reading`` converts what is read.
"""

from __future__ import annotations

import difflib
import errno
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from charlstm import arguments
from charlstm.display import size, visible
from charlstm.errors import Advice, TextError
from charlstm.storage import FileStamp, NotAFileError, SpecialKind, open_file, special_kind
from charlstm.text import builtin, remote
from charlstm.text.encoding import find_encoding
from charlstm.text.reading import Tally, TextOptions, converted, decoded

if TYPE_CHECKING:
    from zipfile import ZipInfo

    from charlstm.text.archives import Archive, Kind
    from charlstm.text.paragraphs import Joined

STDIN = "-"
BLOCK = 1024 * 1024
"""Bytes that are read and decoded at a time."""
MAX_NAMES = 300_000
"""A folder with more files and folders than this is refused."""

Source = str | Path | Sequence[str | Path]


class ReadProgress(NamedTuple):
    """Progress of reading a text: ``done`` of ``total`` bytes (0 if unknown) of ``stage``."""

    done: int
    total: int
    stage: str


ProgressCallback = Callable[[ReadProgress], None]


def ignore(progress: ReadProgress) -> None:
    """A progress callback that does nothing."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to read: the file ``path``, or the ``member`` of the archive there, a ``builtin`` text or the string
    ``text``. ``shown`` is for messages."""

    shown: str
    path: Path | None = None
    builtin: str | None = None
    text: str | None = None
    address: str = ""
    """Where the file was fetched from, if it was."""
    member: tuple[Archive, ZipInfo] | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a source consists of: a ``name``, the ``sources`` to record and the items to read, in order."""

    name: str
    sources: tuple[str, ...]
    """Absolute paths, names of built-in texts, or ``-``; empty for a string."""
    items: tuple[Item, ...]
    """Empty for standard input."""
    skipped: tuple[str, ...] = ()
    """Files and folders inside a given folder that cannot be read."""

    @property
    def is_stdin(self) -> bool:
        return STDIN in self.sources

    @property
    def can_be_read_again(self) -> bool:
        return bool(self.sources) and not self.is_stdin


def resolve_text(text: str | None) -> Resolved:
    """A text that is given as a string. Raises :class:`TextError` for what is not a string."""
    if not isinstance(text, str):
        raise TextError(f"text takes a string, not {type(text).__name__}")
    return Resolved("text", (), (Item("The text", text=text),))


def resolve(source: Source, options: TextOptions) -> Resolved:
    """Find the files or built-in texts of ``source``. Raises :class:`TextError` when one cannot be used."""
    takes = "a path, several paths, a folder or the name of a built-in text"
    given = list(source) if isinstance(source, Sequence) and not isinstance(source, str) else [source]
    for one in given:
        arguments.instance("A text", one, (str, os.PathLike), takes, error=TextError)
    if not given:
        raise TextError("No text was given: give a file, a folder, - for standard input or python-reference")
    names, sources, items = [], [], []
    skipped: list[str] = []
    for one in given:
        name, recorded, found = _resolve_one(os.fspath(one), options, skipped)
        names.append(name)
        sources.append(recorded)
        items.extend(found)
    if STDIN in sources and len(sources) > 1:
        raise TextError("Standard input (-) cannot be joined with other texts: save it to a file first")
    name = names[0] if len(names) == 1 else f"{names[0]}+{len(names) - 1}"
    return Resolved(name, tuple(sources), tuple(items), tuple(sorted(skipped)))


def _resolve_one(given: str, options: TextOptions, skipped: list[str]) -> tuple[str, str, list[Item]]:
    if given == STDIN:
        return "stdin", STDIN, []
    if not given:
        raise TextError("The name of the text is empty: give a file, or . for the current folder")
    shown = visible(given, keep="")
    path = Path(os.path.expanduser(given)).absolute()  # expanduser does not fail for an unknown user
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        if builtin.is_builtin(given):
            builtin.pieces(given)  # raises when this Python does not have it
            return given, given, [Item(given, builtin=given)]
        if (text := remote.catalogue().get(given)) is not None:
            if text.path:
                return _resolve_one(str(text.path), options, skipped)
            sentence = f"There is no file {shown}; the text {shown} of the catalogue, {size(text.bytes)}, was not"
            raise TextError(f"{sentence} fetched yet", Advice("fetch", given)) from None
        raise _unreadable(shown, error, path) from None
    if stat.S_ISDIR(mode):
        refused: list[str] = []
        files = folder_files(path, options.pattern, refused)
        if not files and refused:
            some = ", ".join(sorted(refused)[:3])
            raise TextError(
                f"No file in {shown} that matches {options.pattern} can be read ({some}): change their permissions or "
                "choose another text"
            )
        skipped += refused
        if not files:
            names = (path.name for path in _walk(path, []) if os.path.isfile(path))
            raise _nothing_matches(names, f"The folder {shown}", options.pattern)
        items = [Item(visible(str(file), keep=""), file) for file in files]
        found = [_files_in(item, options.pattern) if item.shown.lower().endswith(".zip") else [item] for item in items]
        return path.resolve().name or "texts", str(path), [item for each in found for item in each]
    if (kind := special_kind(mode)) is not None:
        raise _special(kind, shown)
    return path.name, str(path), _files_in(Item(shown, path, address=remote.address_of(path)), options.pattern)


def _files_in(item: Item, pattern: str) -> list[Item]:
    """The files in an archive that match ``pattern``; of another file, that itself. Raises :class:`TextError`."""
    with open_regular(item) as (file, _):
        if file.read(4) != b"PK\3\4":
            return [item]
        from charlstm.text.archives import Archive  # not at every start

        archive = Archive(file, item.shown)
    if archive.is_document:
        return [item]
    chosen = archive.chosen(lambda name: matches(name, pattern))
    if not chosen:
        raise _nothing_matches((info.filename for info in archive.files), f"The archive {item.shown}", pattern)
    shown = [f"{item.shown}/{visible(info.filename, keep='')}" for info in chosen]
    return [Item(name, item.path, member=(archive, info)) for name, info in zip(shown, chosen, strict=True)]


def _special(kind: SpecialKind, shown: str) -> TextError:
    return TextError(f"{shown} is a {kind}, not a file: give a file, or - and the text on standard input")


def _unreadable(shown: str, error: OSError | ValueError, path: Path) -> TextError:
    match error:
        case FileNotFoundError():
            hint = _near(path)
            return TextError(f"There is no file {shown}{hint or ': check the path, or choose another text'}")
        case PermissionError():
            return TextError(f"{shown} cannot be read (no permission): change its permissions or choose another text")
        case OSError():
            return TextError(f"{shown} cannot be read ({error.strerror}): choose another text")
    return TextError(f"{shown} is not a valid path: check it")


def _near(path: Path) -> str:
    try:
        names = [*os.listdir(path.parent), *builtin.TEXTS, *remote.catalogue()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {visible(near[0], keep='')}?" if near else ""


def matches(name: str, pattern: str) -> bool:
    """Whether the file name ``name`` matches ``pattern`` (several patterns are separated by commas)."""
    return any(fnmatch(name, part.strip()) for part in pattern.split(","))


def folder_files(folder: Path, pattern: str, skipped: list[str] | None = None) -> list[Path]:
    """Regular files in ``folder`` and its subfolders that match ``pattern``, sorted by path, without hidden ones.

    Files and subfolders that cannot be read are added to ``skipped``. Links are followed, loops are not. Raises
    :class:`TextError` when ``folder`` cannot be read or has too many files.
    """
    skipped = [] if skipped is None else skipped
    paths = _walk(folder, skipped)
    return sorted(path for path in paths if matches(path.name, pattern) and _is_readable(path, skipped))


def _is_readable(path: Path, skipped: list[str]) -> bool:
    """Whether ``path`` is a regular file that can be opened; adds one that may not be read to ``skipped``."""
    try:
        open_file(path).close()
    except NotAFileError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # a broken link, or deleted meanwhile
            skipped.append(str(path))
        return False
    return True


def _walk(folder: Path, skipped: list[str]) -> Iterator[Path]:
    """The paths of everything in ``folder`` and its subfolders that is not a folder, without hidden ones."""

    def on_error(error: OSError) -> None:
        if error.filename == str(folder):
            raise _unreadable(visible(str(folder), keep=""), error, folder)
        skipped.append(str(error.filename))

    seen: set[tuple[int, int] | None] = {None}
    names = 0
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=on_error):
        identity = _identity(parent)
        if identity in seen:  # a link to a folder that was read already
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names += len(folders) + len(files)
        if names > MAX_NAMES:
            raise TextError(
                f"{visible(str(folder), keep='')} has more than {MAX_NAMES:,} files: choose a smaller folder"
            )
        for name in files:
            if not name.startswith("."):
                yield Path(parent, name)


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        info = os.stat(folder)
    except OSError:
        return None  # deleted meanwhile
    return info.st_dev, info.st_ino


def _nothing_matches(names: Iterable[str], shown: str, pattern: str) -> TextError:
    """``shown``, a folder or an archive, has only files of these ``names``."""
    endings = Counter(filter(None, (os.path.splitext(name)[1] for name in names)))
    if not endings:
        return TextError(f"{shown} has no files that match {pattern}: choose another text")
    ending, count = endings.most_common(1)[0]
    return TextError(
        f"{shown} has no files that match {pattern}, but {count:,} that match *{visible(ending)}: "
        f"read them with the pattern *{visible(ending)}, or give the files"
    )


@contextmanager
def open_regular(item: Item) -> Iterator[tuple[BinaryIO, FileStamp]]:
    """Open the file of ``item``; gives the file and its stamp. Never waits, as opening a pipe would.

    Raises :class:`TextError`.
    """
    assert item.path is not None
    try:
        with open_file(item.path) as file:
            yield file, FileStamp.of(os.fstat(file.fileno()))
    except NotAFileError as error:
        raise _special(error.kind, item.shown) from None
    except OSError as error:
        raise _unreadable(item.shown, error, item.path) from None


def stamp_of(item: Item) -> FileStamp:
    """The stamp of the file of ``item``, without opening it. Raises :class:`TextError`."""
    assert item.path is not None
    try:
        return FileStamp.of(item.path.stat())
    except OSError as error:
        raise _unreadable(item.shown, error, item.path) from None


def size_of(item: Item) -> int:
    """The bytes of a file, in an archive those that it expands to; 0 for what is no file. Raises :class:`TextError`."""
    if item.member is not None:
        return item.member[1].file_size
    return 0 if item.path is None else stamp_of(item).size


class Opened(NamedTuple):
    """A file that is open: ``file`` has its text, unpacked, and ``outer`` is what has the ``stamp``."""

    file: BinaryIO
    outer: BinaryIO
    stamp: FileStamp
    size: int
    """Bytes of the file, or of the file in the archive."""
    most: int
    """Bytes of its text, or the most that are read where that is not known before."""


@contextmanager
def open_item(item: Item) -> Iterator[Opened]:
    """Open the file of ``item``, unpacked. Raises :class:`TextError`."""
    with open_regular(item) as (outer, stamp):
        file, size = outer, stamp.size
        if item.member is not None:
            archive, info = item.member
            file, size = archive.open(info, outer, item.shown), info.file_size
        head, most = file.read(6), size
        file.seek(0)
        if head.startswith((b"\x1f\x8b", b"\xfd7zXZ\0")):
            from charlstm.text.archives import MAX_EXPANDED, unpacked

            file, most = unpacked(file, item.shown), MAX_EXPANDED
        yield Opened(file, outer, stamp, size, most)


def document_kind(item: Item, options: TextOptions) -> Kind | None:
    """What kind of document ``item`` is; None for plain text. Raises :class:`TextError`.

    HTML is a document unless lines are kept, so that a text can be read as it is.
    """
    if item.path is None:
        return None
    from charlstm.text.archives import kind_of

    with open_item(item) as opened:
        return kind_of(opened.file, item.shown, html=options.lines == "auto")


def _blocks(opened: Opened, start: int, item: Item) -> Iterator[bytes]:
    """Read from ``start`` to the size that the file had when it was opened. Raises :class:`TextError` if it changes."""
    opened.file.seek(start)
    left, stamp = opened.most - start, opened.stamp
    while left > 0:
        block = opened.file.read(min(BLOCK, left))
        if not block:
            break
        left -= len(block)
        yield block
    info, incomplete = os.fstat(opened.outer.fileno()), left and opened.most == opened.size
    if incomplete or (info.st_size, info.st_mtime_ns) != (stamp.size, stamp.mtime_ns):
        raise TextError(f"{item.shown} changed while it was being read: try again when nothing writes to it")


def item_text(
    item: Item, options: TextOptions, tally: Tally, joined: Joined, progress: ProgressCallback = ignore
) -> Iterator[str]:
    """Read the characters of ``item``, as long as somebody asks for more.

    Findings are added to ``tally``, and the lines that were joined to ``joined``; ``progress`` counts the bytes of this
    item. Raises :class:`TextError`.
    """
    kind = document_kind(item, options)
    pieces = _characters(item, options, tally, progress, kind)
    if kind is None and options.lines == "auto":
        from charlstm.text.paragraphs import read_paragraphs  # numpy: not before the first paint

        return read_paragraphs(pieces, joined)
    return pieces


def _characters(
    item: Item, options: TextOptions, tally: Tally, progress: ProgressCallback, kind: Kind | None
) -> Iterator[str]:
    """The characters of ``item``, a document of this ``kind`` if any, with its own lines: see :func:`item_text`."""
    if item.path is None:
        pieces = builtin.pieces(item.builtin) if item.builtin is not None else [item.text or ""]
        tally.encodings.add("utf-8")
        yield from converted(pieces, options, tally)
        return
    with open_item(item) as opened:
        tally.stamps.append(opened.stamp)
        whole = opened.size

        def report(stage: str) -> None:
            progress(ReadProgress(min(opened.outer.tell(), whole), whole, stage))

        if kind is not None:
            for piece in converted(_extracted(opened, kind, item, options, tally), options, tally):
                yield piece
                report("reading")
            return
        if not whole:
            return
        limit = opened.most if options.max_chars is None else min(opened.most, 4 * options.max_chars + BLOCK)
        encoding = find_encoding(opened.file, item.shown, options.encoding, limit, lambda done: report("checking"))
        tally.encodings.add(encoding.name)
        invalid_before, nuls = tally.invalid_bytes, 0
        for piece in decoded(_blocks(opened, encoding.mark, item), encoding.name, options, tally):
            done = opened.file.tell()
            _refuse_invalid(item, encoding.name, tally.invalid_bytes - invalid_before, done)
            nuls += piece.count("\0")
            if nuls > done // 2 and options.max_chars is None:
                raise TextError(f"{item.shown} is mostly NUL bytes: it is damaged or not text; choose a text file")
            yield piece
            report("reading")


def _extracted(opened: Opened, kind: Kind, item: Item, options: TextOptions, tally: Tally) -> Iterator[str]:
    """The text of a document."""
    try:
        from charlstm.text.documents import document_text  # an optional package, and 20 ms
    except ModuleNotFoundError as error:
        if error.name != "lxml":
            raise
        raise TextError(
            f"{item.shown} is a document (.{kind}), and to read those needs the package lxml, which is not installed: "
            "pip install lxml"
        ) from None
    yield from document_text(opened.file, kind, item.shown, options.encoding, tally)


def _refuse_invalid(item: Item, encoding: str, invalid: int, read: int) -> None:
    share = invalid / max(read, 1)
    if share > 0.5 or (share > 0.1 and invalid > 1000):
        raise TextError(
            f"{item.shown} is not text in {encoding}: {100 * share:.0f} % of its bytes are invalid; choose a text "
            "file, or name its encoding"
        )


def copy_stdin(to: Path, progress: ProgressCallback) -> Item:
    """Copy standard input to the file ``to``, because finding the encoding takes a second pass.

    Raises :class:`TextError` when there is no standard input.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise TextError("There is no standard input to read: give a file instead of -")
    with to.open("wb") as file:
        while block := sys.stdin.buffer.read(BLOCK):
            file.write(block)
            progress(ReadProgress(file.tell(), 0, "reading"))
    return Item("Standard input", to)
