"""Find the encoding of a text file, and refuse files that are not text.

In this order: a byte order mark, the signature of another kind of file, UTF-16 and UTF-32 without a mark, UTF-8, and
last the detector chardet, which is imported only where it is needed.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import BinaryIO, NamedTuple

from charlstm.errors import TextError

SAMPLE = 64 * 1024
"""Bytes that are examined to find the encoding."""
_BLOCK = 4 * 1024 * 1024
_MARKS = (  # UTF-32 first: its little-endian mark begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_NEED_MARK = ("utf-16", "utf-32")
"""Python decodes these only with a byte order mark."""
_WEST = "cp1252"
_NOT_FOR_FILES = ("undefined", "idna", "punycode", "unicode-escape", "raw-unicode-escape")
"""Codecs of Python that decode bytes to text but are not encodings of files."""

MAX_CONTROL_SHARE = 0.3
"""The largest share of control characters in a text: more is binary data that happens to be valid UTF-8."""
MAX_LEGACY_CONTROL_SHARE = 0.02
"""The same for a file that is not UTF-8: of random bytes, a tenth are control characters."""
MAX_DAMAGE = 0.005
"""The largest share of invalid and control characters in UTF-16 without a mark: of random pairs of bytes, 1 in 16 is
invalid."""
LONGEST_WORD = 200
"""Bytes without ASCII in a row, above which a file in a code page of one byte per character is no text."""
MIN_NUL_SHARE = 0.3
"""The least share of NULs in UTF-16 whose other bytes are UTF-8 without control characters: half of it is NULs, since
all of it is ASCII."""
MIN_WORDS, MIN_BYTES = 3, 5
"""Different words with bytes outside ASCII, or different such bytes, that the detector needs: with fewer it takes
damaged UTF-8 for a code page."""


class Encoding(NamedTuple):
    """The name of a Python codec, and the length of the byte order mark to skip."""

    name: str
    mark: int


def check_encoding(name: str) -> str:
    """Return Python's name of the text encoding ``name``. Raises :class:`TextError` when there is no such encoding."""
    try:
        found = codecs.lookup(name)
        is_text = found.incrementaldecoder is not None and isinstance(found.decode(b"")[0], str)
    except Exception:  # codecs that are not for text raise errors of their own, such as zlib.error
        is_text = False
    if not is_text or found.name.replace("_", "-") in _NOT_FOR_FILES:
        raise TextError(
            f"There is no text encoding {name!r}; common ones are utf-8, cp1252, gb18030, shift_jis, koi8-r"
        )
    return found.name


def is_guess(name: str, sources: Iterable[str]) -> bool:
    """Whether an encoding that was found in ``sources`` may be wrong, and another can be chosen: that a text is valid
    UTF-8 or has a mark is no accident, and an EPUB names its encodings. ``mixed`` is the encoding of several files."""
    return not name.startswith(("utf", "mixed")) and not any(source.lower().endswith(".epub") for source in sources)


def find_encoding(
    file: BinaryIO, name: str, chosen: str | None, limit: int, progress: Callable[[int], None]
) -> Encoding:
    """Find the encoding of the first ``limit`` bytes of ``file``; the file's position changes.

    ``chosen`` is the encoding that the user has chosen, if any; it is not checked. ``name`` is the file's name for
    messages. ``progress`` is called with the number of bytes read so far. Raises :class:`TextError` when the file is
    not text.
    """
    file.seek(0)
    head = file.read(min(SAMPLE, limit))
    marked = [Encoding(codec, len(mark)) for mark, codec in _MARKS if head.startswith(mark)]
    if chosen is not None:
        fitting = [each for each in marked if each.name.removesuffix("-le").removesuffix("-be") in chosen]
        if chosen in _NEED_MARK and not fitting:
            likely = _wide_without_mark(head)
            return Encoding(likely if likely and likely.startswith(chosen) else f"{chosen}-le", 0)
        return fitting[0] if fitting else Encoding(chosen, 0)
    if marked:
        return marked[0]
    _refuse_other_kinds(head, name)
    if head and not head.strip(b"\x00"):
        raise TextError(f"{name} begins with nothing but NUL bytes: it is damaged or not text; {_CHOOSE}")
    if wide := _wide_without_mark(head):
        return Encoding(wide, 0)
    _refuse_binary(head, name, MAX_CONTROL_SHARE)
    first_invalid = _find_invalid_utf8(file, limit, progress)
    if first_invalid is None:
        return Encoding("utf-8", 0)
    _refuse_binary(head, name, MAX_LEGACY_CONTROL_SHARE)
    return Encoding(_detect_legacy(file, first_invalid, limit) or "utf-8", 0)


_CHOOSE = "choose a text file"
_SAVE = "open it and save it as plain text (.txt, UTF-8), then use that file"
_CONVERT = "convert it to plain text (Calibre does that), then use that file"
_UNPACK = "unpack it and use the text inside"
# (offset, signatures, what it is, what to do): documents and archives that are not read here, whose text the user can
# get at. Pictures, sounds and programs need no signature: they are refused as binary data.
_OTHER_KINDS = (
    (0, (b"%PDF-",), "a PDF", "save its text as plain text (pdftotext does that), then use that file"),
    (0, (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf"), "a document (.doc or .rtf, or an encrypted .docx)", _SAVE),
    (60, (b"BOOKMOBI",), "an e-book (.mobi)", _CONVERT),
    (0, (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"), "compressed (.bz2 or .zst, or twice)", _UNPACK),
    (0, (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"), "an archive (.7z or .rar)", _UNPACK),
    (257, (b"ustar",), "an archive (.tar)", _UNPACK),
)


def _refuse_other_kinds(head: bytes, name: str) -> None:
    for offset, signatures, what, advice in _OTHER_KINDS:
        if head.startswith(signatures, offset):
            raise TextError(f"{name} is {what}, not plain text: {advice}")


def _refuse_binary(head: bytes, name: str, max_share: float) -> None:
    plain = bytes(code for code in range(256) if code >= 32 or code in b"\t\n\r\f\b\x1a\x1b")
    if len(head.translate(None, plain)) > max_share * len(head):
        raise TextError(f"{name} looks like binary data, not text: {_CHOOSE}, or name its encoding")


def _wide_without_mark(head: bytes) -> str | None:
    """Detect UTF-16 or UTF-32 without a byte order mark, also with a few damaged characters."""
    nuls = head.count(0)
    if not nuls:  # in UTF-16, spaces, digits and newlines have a NUL
        return None
    if nuls < MIN_NUL_SHARE * len(head):
        text = _decoded(head.replace(b"\x00", b""), "utf-8")
        if text is not None and sum(map(_is_damage, text)) <= MAX_LEGACY_CONTROL_SHARE * len(text):
            return None  # a text with a few NULs
    found = []
    for codec in _WIDE:
        text = codecs.getincrementaldecoder(codec)("replace").decode(head)
        if sum(map(_is_damage, text)) <= MAX_DAMAGE * len(text):
            # Both byte orders can be valid, and in the wrong one spaces and newlines are no ASCII. UTF-32 is valid
            # UTF-16 too, with a NUL in each character, but NUL counts as damage.
            found.append((-sum(map(str.isascii, text)), codec))
    return min(found)[1] if found else None


def _decoded(sample: bytes, name: str) -> str | None:
    """A sample, whose end may cut a character, in this encoding; None for invalid bytes."""
    try:
        return codecs.getincrementaldecoder(name)("strict").decode(sample)
    except UnicodeDecodeError:
        return None


def _is_damage(char: str) -> bool:
    return char == "\ufffd" or (char not in "\t\n\r\f" and unicodedata.category(char) in ("Cc", "Cn", "Co", "Cs"))


def _find_invalid_utf8(file: BinaryIO, limit: int, progress: Callable[[int], None]) -> int | None:
    """The offset of the first byte that is not UTF-8, or None. A character that the end of the file cuts is invalid."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    file.seek(0)
    offset = 0
    while True:
        size = min(_BLOCK, limit - offset)
        block = file.read(size) if size else b""
        if not size and file.read(1):
            return None  # the limit, not the end of the file
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            return offset - held + error.start
        if not block:
            return None
        offset += len(block)
        progress(offset)


def _detect_legacy(file: BinaryIO, first_invalid: int, limit: int) -> str | None:
    """Detect the encoding of a file whose first byte that is not UTF-8 is given; None for damaged UTF-8."""
    sample = _lines_outside_ascii(file, first_invalid, limit)
    damage = sample.decode("utf-8", "replace").count("\ufffd")
    if len(_WELL_FORMED.findall(sample)) > damage:
        return None
    western = _is_western(sample)
    if len(set(_HIGH_WORDS.findall(sample))) < MIN_WORDS and len(set(_HIGH.findall(sample))) < MIN_BYTES:
        return _WEST if western else None
    from chardet import detect

    found = detect(sample, max_bytes=SAMPLE)
    # The detector takes some western texts with few accents for other code pages. Only Hungarian, which it knows, has
    # its own letters where cp1252 has accents too.
    if western and found["language"] != "hu":
        return _WEST
    name = found["encoding"]
    if name is not None and len(sample) > LONGEST_WORD and not _ASCII.search(sample) and name not in _MULTI_BYTE:
        return None  # letters without a single blank are no text
    # cp1252 is Latin-1 and has quotes, dashes and the euro where that has control characters
    return None if name is None else _WEST if codecs.lookup(name).name == "iso8859-1" else codecs.lookup(name).name


def _lines_outside_ascii(file: BinaryIO, first: int, limit: int) -> bytes:
    """Up to :data:`SAMPLE` bytes of lines that are not ASCII. ``first`` is the offset of one.

    Accents can be far apart, so the lines are those from 8 MB around the first.
    """
    start = max(0, first - SAMPLE)
    file.seek(start)
    around = file.read(min(2 * _BLOCK, limit - start))
    return b"\n".join(line for line in around.split(b"\n") if _HIGH.search(line))[:SAMPLE]


_MULTI_BYTE = ("GB18030", "Big5", "Shift-JIS", "CP932", "EUC-JP", "EUC-KR", "CP949")
_ASCII = re.compile(rb"[\x00-\x7f]")
_HIGH = re.compile(rb"[\x80-\xff]")
# The lookbehind and the possessive quantifiers keep the search linear in a long row of letters.
_HIGH_WORDS = re.compile(rb"(?<![A-Za-z\x80-\xff])[A-Za-z]*+[\x80-\xff][A-Za-z\x80-\xff]*+")
_WELL_FORMED = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_ACCENTED = "àáâãäåæçèéêëìíîïñòóôõöøœßùúûüÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜ"
_WESTERN = re.compile(
    f"(?:[A-Za-z][{_ACCENTED}]+|(?<![{_ACCENTED}])[{_ACCENTED}]++[A-Za-z]|\\b[àéèóöåæÀÉÈ]\\b"
    "|[‘’–—°§£€©®™·ªº\u00a0]|(?<![A-Za-z])[“”„…«»¿¡]|[“”„…«»¿¡](?![A-Za-z])"
    "|(?<![A-Za-z])[½¼¾²³¹×÷±¶¢¥µ†‡•](?![A-Za-z]))"
)


def _is_western(sample: bytes) -> bool:
    """Whether all characters outside ASCII are, in cp1252, accented letters within words, or typographic signs."""
    try:
        return _WESTERN.sub("", sample.decode(_WEST)).isascii()
    except UnicodeDecodeError:
        return False


ENCODINGS = {
    "utf-8": "Unicode", "cp1252": "Western Europe", "iso8859-15": "Western Europe", "cp1250": "Central Europe",
    "iso8859-2": "Central Europe", "cp1257": "Baltic", "iso8859-13": "Baltic", "cp1254": "Turkish",
    "cp1251": "Cyrillic", "koi8-r": "Cyrillic", "iso8859-5": "Cyrillic", "cp866": "Cyrillic, DOS", "cp1253": "Greek",
    "cp1255": "Hebrew", "cp1256": "Arabic", "gb18030": "Chinese", "big5": "Chinese, Taiwan", "shift_jis": "Japanese",
    "euc_jp": "Japanese", "euc_kr": "Korean", "mac-roman": "Western Europe, old Macintosh",
    "cp850": "Western Europe, DOS", "cp437": "Western Europe, DOS", "utf-16-le": "Unicode", "utf-16-be": "Unicode",
}  # fmt: skip
"""Encodings of text files, with their languages or systems."""
