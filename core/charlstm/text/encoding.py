"""Find the encoding of a text file, and refuse files that are not text.

In this order: a byte order mark, the signature of another kind of file, UTF-16 and UTF-32 without a mark, UTF-8, and
last the detector charset-normalizer, which is imported only for files that are not UTF-8.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
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
_WEST = "cp1252"
_NOT_FOR_FILES = ("undefined", "idna", "punycode", "unicode-escape", "raw-unicode-escape")
"""Codecs of Python that decode bytes to text but are not encodings of files."""

MAX_CONTROL_SHARE = 0.3
"""The largest share of control characters in a text: more is binary data that happens to be valid UTF-8."""
MAX_LEGACY_CONTROL_SHARE = 0.02
"""The same for a file that is not UTF-8: of random bytes, a tenth are control characters."""
MAX_DAMAGE = 0.005
"""The largest share of invalid characters in UTF-16 without a mark: of random pairs of bytes, 1 in 16 is invalid."""
MIN_EVIDENCE = 5
"""Different words or bytes outside ASCII that the detector needs: with fewer it takes damaged UTF-8 for a code page."""


class Encoding(NamedTuple):
    """The name of a Python codec, and the length of the byte order mark to skip."""

    name: str
    mark: int


def check_encoding(name: str) -> str:
    """Return Python's name of the text encoding ``name``. Raises :class:`TextError` when there is no such encoding."""
    try:
        found = codecs.lookup(name)
        is_text = found.incrementaldecoder is not None and isinstance(found.decode(b"")[0], str)
    except (LookupError, ValueError, TypeError, UnicodeError):
        is_text = False
    if not is_text or found.name.replace("_", "-") in _NOT_FOR_FILES:
        raise TextError(
            f"There is no text encoding {name!r}; common ones are utf-8, cp1252, gb18030, shift_jis, koi8-r"
        )
    return found.name


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
    marked = next((Encoding(codec, len(mark)) for mark, codec in _MARKS if head.startswith(mark)), None)
    if chosen is not None:
        fits = marked is not None and check_encoding(marked.name.removesuffix("-le").removesuffix("-be")) in chosen
        return marked if marked is not None and fits else Encoding(chosen, 0)
    if marked is not None:
        return marked
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
_ZIP = b"PK\x03\x04"
# (offset, signatures, what it is, what to do): documents and archives, whose text the user can get at. Pictures, sounds
# and programs need no signature: they are refused as binary data.
_OTHER_KINDS = (
    (0, (b"%PDF-",), "a PDF", "save its text as plain text (pdftotext does that), then use that file"),
    (0, (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf"), "a document (.doc or .rtf)", _SAVE),
    (60, (b"BOOKMOBI",), "an e-book (.mobi)", _CONVERT),
    (0, (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"), "compressed (.gz, .bz2, .xz or .zst)", _UNPACK),
    (0, (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"), "an archive (.7z or .rar)", _UNPACK),
    (257, (b"ustar",), "an archive (.tar)", _UNPACK),
)


def _refuse_other_kinds(head: bytes, name: str) -> None:
    for offset, signatures, what, advice in _OTHER_KINDS:
        if head.startswith(signatures, offset):
            raise TextError(f"{name} is {what}, not plain text: {advice}")
    if not head.startswith(_ZIP):
        return
    what, advice = "a .zip archive", _UNPACK
    if b"mimetypeapplication/epub" in head:
        what, advice = "an e-book (.epub)", _CONVERT
    elif b"[Content_Types].xml" in head or b"mimetypeapplication/vnd.oasis" in head:
        what, advice = "an Office document (.docx, .odt or similar)", _SAVE
    raise TextError(f"{name} is {what}, not plain text: {advice}")


def _refuse_binary(head: bytes, name: str, max_share: float) -> None:
    plain = bytes(code for code in range(256) if code >= 32 or code in b"\t\n\r\f\b\x1a\x1b")
    if len(head.translate(None, plain)) > max_share * len(head):
        raise TextError(f"{name} looks like binary data, not text: {_CHOOSE}, or name its encoding")


def _wide_without_mark(head: bytes) -> str | None:
    """Detect UTF-16 or UTF-32 without a byte order mark; damaged characters are left out for the detector."""
    if b"\x00" not in head:  # in UTF-16, spaces, digits and newlines have a NUL
        return None
    from charset_normalizer import from_bytes

    found = []
    for codec in _WIDE:
        text = codecs.getincrementaldecoder(codec)("replace").decode(head)
        damage = text.count("\ufffd")
        valid = text.replace("\ufffd", "").encode(codec, "ignore")
        best = from_bytes(valid, cp_isolation=[codec], preemptive_behaviour=False, enable_fallback=False).best()
        # The detector adds UTF-8 to every list. Short texts can be valid in both byte orders: ASCII is more likely.
        if damage <= MAX_DAMAGE * len(text) and best is not None and best.encoding == codec.replace("-", "_"):
            found.append((best.chaos, -best.coherence, -sum(map(str.isascii, text)), codec))
    return min(found)[-1] if found else None


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
    # Accents can be far apart, so the sample is made of the lines that have any, from 8 MB around the first.
    start = max(0, first_invalid - SAMPLE)
    file.seek(start)
    around = file.read(min(2 * _BLOCK, limit - start))
    sample = b"\n".join(line for line in around.split(b"\n") if _HIGH.search(line))[:SAMPLE]
    damage = sample.decode("utf-8", "replace").count("\ufffd")
    if len(_WELL_FORMED.findall(sample)) > damage:
        return None
    western = _is_western(sample)
    if max(len(set(_HIGH_WORDS.findall(sample))), len(set(_HIGH.findall(sample)))) < MIN_EVIDENCE:
        return _WEST if western else None
    from charset_normalizer import from_bytes

    best = from_bytes(sample, preemptive_behaviour=False).best()
    if best is None:
        return None
    # The detector takes some western texts for other code pages. Only Hungarian, which it finds, has its own letters
    # where cp1252 has accents too.
    if _WEST in best.could_be_from_charset or (western and best.encoding != "cp1250"):
        return _WEST
    return codecs.lookup(best.encoding).name


_HIGH = re.compile(rb"[\x80-\xff]")
# The lookbehind and the possessive quantifiers keep the search linear in a long row of letters.
_HIGH_WORDS = re.compile(rb"(?<![A-Za-z\x80-\xff])[A-Za-z]*+[\x80-\xff][A-Za-z\x80-\xff]*+")
_WELL_FORMED = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_ACCENTED = "àáâãäåæçèéêëìíîïñòóôõöøœßùúûüÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜ"
_WESTERN = re.compile(
    f"(?:[A-Za-z][{_ACCENTED}]+|(?<![{_ACCENTED}])[{_ACCENTED}]++[A-Za-z]|\\b[àéèóöåæÀÉ]\\b|[‘’“”„–—…«»¿¡°§£€©®·ªº\u00a0])"
)


def _is_western(sample: bytes) -> bool:
    """Whether all characters outside ASCII are, in cp1252, accented letters within words, or typographic signs."""
    try:
        return _WESTERN.sub("", sample.decode(_WEST)).isascii()
    except UnicodeDecodeError:
        return False
