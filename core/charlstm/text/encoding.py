"""Which encoding a file is in, and whether it is a text at all: byte order marks, UTF-8, UTF-16, then a detector.

It looks at bytes and decides; decoding is ``reading``'s. The detector is imported only when a file is not UTF-8.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from charlstm.errors import TextError

SAMPLE = 64 * 1024
"""Bytes that are looked at to tell a text from something else."""
_BLOCK = 4 * 1024 * 1024
_MARKS = (  # UTF-32 first: its little-endian mark begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NO_TEXTS = ("undefined", "idna", "punycode", "unicode-escape", "raw-unicode-escape")
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859_1": "cp1252", "latin_1": "cp1252", "ascii": "utf-8"}


class Encoding(NamedTuple):
    """A codec of Python's, and the bytes of a byte order mark to skip."""

    name: str
    mark: int


def check_encoding(name: str) -> str:
    """Python's name of the text encoding that a user called ``name``. Raises :class:`TextError` for no encoding."""
    try:
        found = codecs.lookup(name)
        text = found.incrementaldecoder is not None and isinstance(found.decode(b"")[0], str)
    except (LookupError, ValueError, TypeError, UnicodeError):
        text = False
    if not text or found.name.replace("_", "-") in _NO_TEXTS:
        raise TextError(f"There is no text encoding {name!r}; usual ones are utf-8, cp1252, gb18030, shift_jis, koi8-r")
    return found.name


def find_encoding(file: BinaryIO, name: str, chosen: str | None, limit: int, alive: Callable[[int], None]) -> Encoding:
    """The encoding of ``file``, of which at most ``limit`` bytes count; it is left somewhere else than it was.

    ``name`` stands in messages, ``alive`` is called with the bytes looked at so far. An encoding that the user has
    ``chosen`` is believed. Raises :class:`TextError` when this is another kind of file.
    """
    file.seek(0)
    head = file.read(min(SAMPLE, limit))
    marked = next((Encoding(codec, len(mark)) for mark, codec in _MARKS if head.startswith(mark)), None)
    if chosen is not None:
        fits = marked is not None and check_encoding(marked.name.removesuffix("-le").removesuffix("-be")) in chosen
        return Encoding(marked.name if fits and marked else chosen, marked.mark if fits and marked else 0)
    if marked is not None:
        return marked
    refuse_other_kinds(head, name)
    if head and not head.strip(b"\x00"):
        raise TextError(f"{name} begins with nothing but NUL bytes: it is damaged or no text; {_NO_TEXT}")
    if wide := _without_mark(head):
        return Encoding(wide, 0)
    _refuse_binary(head, name, 0.3)
    where = _first_invalid(file, limit, alive)
    if where is None:
        return Encoding("utf-8", 0)
    _refuse_binary(head, name, 0.02)
    return Encoding(_legacy(file, where, limit) or "utf-8", 0)


def refuse_other_kinds(head: bytes, name: str) -> None:
    """Raise :class:`TextError` with advice when ``head``, the first bytes of a file, is that of a known other kind."""
    for offset, magic, what, advice in _KINDS:
        if head[offset:].startswith(magic):
            if magic == b"PK\x03\x04":
                what, advice = _zip_kind(head)
            raise TextError(f"{name} is {what}, not plain text: {advice}")


_SAVE = "open it and save it as plain text (.txt, UTF-8), then use that file"
_UNPACK = "unpack it and use the text inside"
_NO_TEXT = "choose a text file"
_KINDS = (
    (0, b"PK\x03\x04", "", ""),
    (0, b"PK\x05\x06", "an empty .zip archive", _NO_TEXT),
    (0, b"%PDF-", "a PDF", "save its text as plain text (pdftotext does that), then use that file"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc)", _SAVE),
    (0, b"{\\rtf", "a rich text document (.rtf)", _SAVE),
    (60, b"BOOKMOBI", "a Kindle book (.mobi)", "convert it to plain text (Calibre does that), then use that file"),
    (0, b"AT&TFORM", "a DjVu document", "save its text as plain text, then use that file"),
    (0, b"\x1f\x8b", "compressed (.gz)", _UNPACK),
    (0, b"BZh", "compressed (.bz2)", _UNPACK),
    (0, b"\xfd7zXZ\x00", "compressed (.xz)", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed (.zst)", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a .7z archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a .rar archive", _UNPACK),
    (257, b"ustar", "a .tar archive", _UNPACK),
    (0, b"\x89PNG\r\n", "a picture (.png)", _NO_TEXT),
    (0, b"\xff\xd8\xff", "a picture (.jpg)", _NO_TEXT),
    (0, b"GIF8", "a picture (.gif)", _NO_TEXT),
    (4, b"ftyp", "a film or sound file", _NO_TEXT),
    (0, b"ID3", "a sound file (.mp3)", _NO_TEXT),
    (0, b"OggS", "a sound file (.ogg)", _NO_TEXT),
    (0, b"RIFF", "a sound, film or picture file", _NO_TEXT),
    (0, b"\x7fELF", "a program", _NO_TEXT),
    (0, b"SQLite format 3\x00", "a database", "export its text as plain text, then use that file"),
)


def _zip_kind(head: bytes) -> tuple[str, str]:
    if b"mimetypeapplication/epub" in head:
        return "an e-book (.epub)", "save it as plain text (Calibre does that), then use that file"
    if b"mimetypeapplication/vnd.oasis" in head:
        return "an OpenDocument file (.odt)", _SAVE
    for inside, what in ((b"word/", "a Word document (.docx)"), (b"xl/", "an Excel sheet (.xlsx)")):
        if inside in head:
            return what, _SAVE
    if b"[Content_Types].xml" in head or b"ppt/" in head:
        return "an Office document", _SAVE
    return "a .zip archive", _UNPACK


def _control_share(head: bytes) -> float:
    plain = bytes(code for code in range(256) if code >= 32 or code in b"\t\n\r\f\b\x1a\x1b")
    return len(head.translate(None, plain)) / max(len(head), 1)


def _refuse_binary(head: bytes, name: str, share: float) -> None:
    if _control_share(head) > share:
        raise TextError(f"{name} looks like binary data, not text: {_NO_TEXT}, or say which encoding it is in")


def _without_mark(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark, told by its many NULs or by what decoding gives."""
    if len(head) < 4 or _control_share(head) < 0.01:
        return None
    fits = []
    even, odd = head[::2].count(0), head[1::2].count(0)
    # NULs among ASCII stand anywhere, those of UTF-16 in one half of its pairs
    pairs = even + odd < 0.05 * len(head) or 2 * min(even, odd) < max(even, odd)
    for codec in ("utf-32-le", "utf-32-be", *(("utf-16-le", "utf-16-be") if pairs else ())):
        text = codecs.getincrementaldecoder(codec)("replace").decode(head)
        if text.count("\ufffd") > 0.005 * len(text):  # of random pairs, one in sixteen is half a character
            continue
        if _sensible(text) > 0.97 and (common := _common(text)) > 0.02:
            fits.append((common, codec))
    return max(fits)[1] if fits else None


def _sensible(text: str) -> float:
    """The part of ``text`` that is letters, digits, marks, punctuation or white space that Unicode knows."""
    good = sum(unicodedata.category(char)[0] in "LNPSMZ" or char in "\t\n\r\f\ufeff" for char in text)
    return good / max(len(text), 1)


def _common(text: str) -> float:
    return sum(char in " \n\u3000\u3002\uff0c,.eaio" or "a" <= char <= "z" for char in text) / max(len(text), 1)


def _first_invalid(file: BinaryIO, limit: int, alive: Callable[[int], None]) -> int | None:
    """The offset of the first byte that is not UTF-8, or None. A sequence that the end of the file cuts off is one."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    file.seek(0)
    offset = 0
    while True:
        size = min(_BLOCK, limit - offset)
        block = file.read(size) if size else b""
        if not size and file.read(1):
            return None  # what follows is not asked for
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            return offset - held + error.start
        if not block:
            return None
        offset += len(block)
        alive(offset)


def _legacy(file: BinaryIO, where: int, limit: int) -> str | None:
    """What a file that is not UTF-8 from byte ``where`` on is in; None when it is UTF-8 with damage."""
    # Far-apart accents say little in a window: the lines that hold any are gathered from 8 MB around the first.
    start = max(0, where - SAMPLE // 4)
    file.seek(start)
    around = file.read(min(2 * _BLOCK, limit - start))
    sample = b"\n".join(line for line in around.split(b"\n") if _HIGH.search(line))[:SAMPLE]
    damaged = sample.decode("utf-8", "replace").count("\ufffd")
    if len(_WELL_FORMED.findall(sample)) > damaged:
        return None
    # A few odd bytes prove no code page: they are the usual accents of the west, or damage.
    if len(set(_HIGH_WORDS.findall(sample))) < 5:
        if _western(sample):
            return _WEST
        if len(_HIGH.findall(sample)) < 0.3 * len(sample):
            return None
    from charset_normalizer import from_bytes

    best = from_bytes(sample, preemptive_behaviour=False).best()
    if best is None:
        return None
    # What reads well as western mostly is: of the other code pages only Hungarian's letters lie where its accents do.
    if _western(sample) and best.encoding not in ("cp1250", "iso8859_2"):
        return _WEST
    if _WEST in best.could_be_from_charset or "latin_1" in best.could_be_from_charset:
        return _WEST
    return codecs.lookup(_SUPERSETS.get(best.encoding, best.encoding)).name


_HIGH = re.compile(rb"[\x80-\xff]")
# Each looks at a long row of letters once, not anew from every letter in it.
_HIGH_WORDS = re.compile(rb"(?<![A-Za-z\x80-\xff])[A-Za-z]*+[\x80-\xff][A-Za-z\x80-\xff]*+")
_WELL_FORMED = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_WEST = "cp1252"
_ACCENTED = "àáâãäåæçèéêëìíîïñòóôõöøœßùúûüÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜ"
_WESTERN = re.compile(
    f"(?:[A-Za-z][{_ACCENTED}]+|(?<![{_ACCENTED}])[{_ACCENTED}]++[A-Za-z]|\\b[àéèóöåæÀÉ]\\b|[‘’“”„–—…«»¿¡°§£€©®·ªº\u00a0])"
)


def _western(sample: bytes) -> bool:
    """Whether all that is not ASCII reads as accents within words, or as signs that typesetters use."""
    try:
        return _WESTERN.sub("", sample.decode(_WEST)).isascii()
    except UnicodeDecodeError:
        return False
