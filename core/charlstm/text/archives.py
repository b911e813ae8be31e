"""Open compressed texts and zip archives, and tell documents from plain text by their content.

What a file expands to is limited: a small file can be made to fill any memory and disk.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal, cast

from charlstm import display
from charlstm.errors import TextError

MAX_EXPANDED = 2_000_000_000
"""Bytes that are read of one compressed text, or of all texts in an archive."""
MAX_DOCUMENT = 64_000_000
"""Bytes that are read of a document, and bytes of one in an archive: it is held in memory, where its elements take some
30 times as much."""
ZIP, GZIP, XZ = b"PK\x03\x04", b"\x1f\x8b", b"\xfd7zXZ\x00"

Kind = Literal["epub", "docx", "odt", "html"]
"""The documents whose text is extracted."""
_UNPACK = "unpack it and use the text inside"
# The atomic group: 20 comments took 27 s while each could also end where a later one does.
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*>\s*+)?(?>(?:<!--.*?-->\s*)*)<(?:!doctype\s+html|html)\b", re.I | re.S
)
_HTML_NAME = re.compile(r"\.x?html?(?:\.gz|\.xz)?$", re.IGNORECASE)


# ValueError and OverflowError: the offset of a file lies outside of the archive
_DAMAGED = (
    *(zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    *(EOFError, ValueError, OverflowError, NotImplementedError),
)


@contextmanager
def whole(shown: str) -> Iterator[None]:
    """Raise a :class:`TextError` for what Python's readers of archives raise for a damaged file."""
    try:
        yield
    except _DAMAGED:
        raise TextError(f"{shown} is damaged or incomplete: get it again, or choose another text") from None


class Expanded(io.BufferedIOBase):
    """A file that is expanded while it is read, up to ``most`` bytes, of which ``before`` were read of other files.

    The bytes that are read count, not the archive's own figure. Reading raises :class:`TextError`.
    """

    def __init__(self, file: BinaryIO, most: int, shown: str, before: int = 0) -> None:
        self._file, self._most, self._shown, self._before = file, most, shown, before

    def read(self, size: int | None = -1) -> bytes:
        with whole(self._shown):
            left = self._most - self._before + 1 - self._file.tell()
            data = self._file.read(left if size is None or size < 0 else min(size, left))
            if self._before + self._file.tell() > self._most:
                raise TextError(f"{self._shown} expands to more than {display.size(self._most)}: {_UNPACK}")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        with whole(self._shown):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def unpacked(file: BinaryIO, shown: str) -> BinaryIO:
    """The text that is compressed in ``file``, a .gz or .xz."""
    unpack = gzip.open if file.read(len(GZIP)) == GZIP else lzma.open
    file.seek(0)
    return cast(BinaryIO, Expanded(cast(BinaryIO, unpack(file)), MAX_EXPANDED, shown))


def open_zip(file: BinaryIO, shown: str) -> zipfile.ZipFile:
    """Read the list of files in a zip archive. Raises :class:`TextError`."""
    with whole(shown):
        return zipfile.ZipFile(file)


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int, shown: str, before: int = 0) -> BinaryIO:
    """Open a file in a zip archive, of which up to ``most`` bytes are read, ``before`` of them of other files. Raises
    :class:`TextError`."""
    if info.flag_bits & 1:
        raise TextError(f"{shown} is encrypted: {_UNPACK}")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Python expands the others without any limit
        raise TextError(f"{shown} is compressed in a way that cannot be read here: {_UNPACK}")
    with whole(shown):
        inside = cast(BinaryIO, archive.open(info))
    return cast(BinaryIO, Expanded(inside, most, shown, before))


class Archive:
    """A zip archive, whose list of files is read once. The archive is open only while a file is read."""

    def __init__(self, file: BinaryIO, shown: str) -> None:
        self._zip, self._shown = open_zip(file, shown), shown
        self.is_document = _zip_kind(self._zip) != "zip"
        self.files = [
            info
            for info in sorted(self._zip.infolist(), key=lambda info: info.filename.split("/"))
            if not any(part.startswith((".", "__MACOSX")) for part in info.filename.split("/")) and not info.is_dir()
        ]
        """Without hidden files, in order of paths."""

    def chosen(self, choose: Callable[[str], bool]) -> list[zipfile.ZipInfo]:
        """Those of the files whose names, without folders, are to be read. Raises :class:`TextError` when they expand
        to too much: Python reads no more of a file than the archive says that it has."""
        found = [info for info in self.files if choose(info.filename.rpartition("/")[2])]
        if sum(info.file_size for info in found) > MAX_EXPANDED:
            raise TextError(f"{self._shown} expands to more than {display.size(MAX_EXPANDED)} of text: {_UNPACK}")
        return found

    def open(self, info: zipfile.ZipInfo, file: BinaryIO, shown: str) -> BinaryIO:
        """Open a file of the archive; ``file`` is the archive, opened again."""
        self._zip.fp = file
        return open_member(self._zip, info, MAX_EXPANDED, shown)


def _zip_kind(archive: zipfile.ZipFile) -> Literal["epub", "docx", "odt", "office", "zip"]:
    names = set(archive.namelist())
    if "META-INF/container.xml" in names:
        return "epub"
    if any(name.startswith("word/document") for name in names):
        return "docx"
    if {"content.xml", "META-INF/manifest.xml"} <= names:
        return "odt"
    return "office" if "[Content_Types].xml" in names else "zip"


def kind_of(file: BinaryIO, shown: str, *, html: bool) -> Kind | None:
    """What kind of document ``file`` is; None for plain text. HTML is one where ``html`` says so, else plain text.

    Raises :class:`TextError` for a zip archive, which is none when it is inside another, and for other documents.
    """
    file.seek(0)
    head = file.read(4096)
    if head.startswith(ZIP):
        kind = _zip_kind(open_zip(in_memory(file), shown))
        if kind == "zip":
            raise TextError(f"{shown} is a zip archive, which is read only as a file of its own: {_UNPACK}")
        if kind == "office":
            raise TextError(f"{shown} is a spreadsheet or presentation: save its text as plain text and use that")
        return kind
    return "html" if html and (_HTML.match(head) or (_HTML_NAME.search(shown) and b"<" in head)) else None


def in_memory(file: BinaryIO) -> BinaryIO:
    """``file``, or what it has in memory if it is expanded while it is read, where going back is slow.

    Raises :class:`TextError` for more than :data:`MAX_DOCUMENT`.
    """
    if not isinstance(file, Expanded):
        return file
    file.seek(0)
    return io.BytesIO(Expanded(cast(BinaryIO, file), MAX_DOCUMENT, file._shown).read())
