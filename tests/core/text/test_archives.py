"""Compressed texts and zip archives, and their limits."""

import gzip
import lzma
import zipfile
from pathlib import Path

import pytest

from charlstm.errors import TextError
from charlstm.text import archives
from charlstm.text.corpus import open_corpus, preview
from charlstm.text.reading import USUAL, TextOptions
from charlstm.text.sources import BLOCK
from made_documents import as_text, made_book, write_epub, write_html, write_zip, zipped
from wrapped_prose import prose

TEXT = prose(400)
PACKED = {"gz": gzip.compress, "xz": lzma.compress}
BOOK = made_book()


@pytest.mark.parametrize("ending", PACKED)
def test_a_compressed_text_is_read_as_the_text_inside(tmp_path: Path, ending: str) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "packed").write_bytes(PACKED[ending](TEXT.encode()))
    plain, packed = (open_corpus(tmp_path / name, USUAL) for name in ("text.txt", "packed"))
    assert packed.fingerprint == plain.fingerprint
    assert packed.report.joined == plain.report.joined
    assert preview(tmp_path / "packed", 100, USUAL).text == plain.text(0, 100)
    words = "Zażółć gęślą jaźń, pchnąć w tę łódź jeża lub ośm skrzyń fig. " * 30
    (tmp_path / "packed").write_bytes(PACKED[ending](words.encode("cp1250")))
    assert open_corpus(tmp_path / "packed").text() == words


def test_a_compressed_document_is_read_as_a_document(tmp_path: Path) -> None:
    for name, write in (("a.epub", write_epub), ("b.html", write_html)):
        packed = tmp_path / f"{name}.xz"
        packed.write_bytes(lzma.compress(write(tmp_path / name, BOOK).read_bytes()))
        assert open_corpus(packed, USUAL).text() == as_text(BOOK)


@pytest.mark.parametrize("folder", [False, True])
def test_an_archive_is_read_as_a_folder_would_be(tmp_path: Path, folder: bool) -> None:
    files: dict[str, str | bytes] = {"b/2.txt": "two\n", "a.txt.gz": gzip.compress(b"packed\n"), "b/1.txt": "one"}
    files |= {"book.epub": write_epub(tmp_path / "book.epub", BOOK).read_bytes(), ".hidden.txt": "no", "c.csv": "1,2"}
    path = write_zip(tmp_path / "texts.zip", files | {"__MACOSX/b/1.txt": "no"})
    if folder:
        zipfile.ZipFile(path).extractall(tmp_path / "texts", files)
        path = tmp_path / "texts"
    assert open_corpus(path).text() == "one\ntwo\n"
    corpus = open_corpus(path, TextOptions(pattern="*.txt, *.gz, *.epub"))
    assert corpus.text() == f"packed\none\ntwo\n{as_text(BOOK)}"
    assert preview(path).files == 2


def test_a_folder_may_have_archives(tmp_path: Path) -> None:
    (tmp_path / "z.txt").write_text("last")
    write_zip(tmp_path / "a.zip", {"1.txt": "first", "2.txt": "second"})
    assert open_corpus(tmp_path, TextOptions(pattern="*.txt,*.zip")).text() == "first\nsecond\nlast"


def test_a_large_compressed_text_is_read_in_blocks(tmp_path: Path) -> None:
    chars = "".join(f"{number:09}\n" for number in range(BLOCK // 5))
    (tmp_path / "text.gz").write_bytes(gzip.compress(chars.encode(), 1))
    corpus = open_corpus(tmp_path / "text.gz")
    assert corpus.chars == len(chars)
    assert corpus.text(-10) == chars[-10:]


LETTERS = b"a" * 600_000
LARGE = {
    "bomb.gz": gzip.compress(LETTERS * 2),
    "bomb.xz": lzma.compress(LETTERS * 2),
    "bomb.zip": zipped({"a.txt": LETTERS * 2}),
    "two.zip": zipped({"a.txt": LETTERS, "b.txt": LETTERS}),
}


@pytest.mark.parametrize("name", [*LARGE, "large.epub"])
def test_what_expands_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(archives, "MAX_EXPANDED", 1_000_000)
    monkeypatch.setattr("charlstm.text.documents.MAX_DOCUMENT", 1_000_000)
    if name in LARGE:
        (tmp_path / name).write_bytes(LARGE[name])
    else:
        write_epub(tmp_path / name, [("h", LETTERS.decode())] * 2)
    with pytest.raises(TextError, match=f"{name}.* expands to more than 1.0 MB"):
        open_corpus(tmp_path / name)


def encrypted(archive: bytes) -> bytes:
    mark = archive.index(b"PK\1\2") + 8  # in the list of files
    return archive[:mark] + b"\1" + archive[mark + 1 :]


def at_the_end_of_all_files(archive: bytes) -> bytes:
    """With its file at the offset 2^64 - 1."""
    place = archive.index(b"PK\1\2")
    entry, end = bytearray(archive[place : place + 51]), bytearray(archive[place + 51 :])
    entry[30:32], entry[42:46], end[12:16] = b"\x0c\0", b"\xff" * 4, (63).to_bytes(4, "little")
    return archive[:place] + bytes(entry) + b"\1\0\x08\0" + b"\xff" * 8 + bytes(end)


def changed(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes(20) + packed[middle + 20 :]


SMALL = zipped({"a.txt": b"text"})
WHOLE = {
    "gz": gzip.compress(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
    "zip": zipped({"a.txt": TEXT.encode()}),
}
BAD = {
    "other.zip": (zipped({"1.md": b"one", "2.md": b"two"}), r" has no files that match \*.txt, but 2 that match \*.md"),
    "archives.zip": (zipped({"inner.txt": SMALL}), "/inner.txt is a zip archive.*: unpack it"),
    "zip.gz": (gzip.compress(SMALL), " is a zip archive.*: unpack it"),
    "twice.gz": (gzip.compress(gzip.compress(b"text")), " is compressed.*: unpack it"),
    "secret.zip": (encrypted(SMALL), "/a.txt is encrypted: unpack it"),
    # Python expands it without a limit
    "bzip2.zip": (zipped({"a.txt": b"text"}, zipfile.ZIP_BZIP2), "/a.txt is compressed in a way that cannot be read"),
    **{f"cut.{ending}": (data[: len(data) // 2], ".* is damaged or incomplete") for ending, data in WHOLE.items()},
    "changed.gz": (changed(WHOLE["gz"]), ".* is damaged or incomplete"),
    "offset.zip": (at_the_end_of_all_files(SMALL), "/a.txt is damaged or incomplete"),
    "changed.zip": (changed(WHOLE["zip"]), ".* is damaged or incomplete"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archives_are_refused(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=name + message):
        open_corpus(tmp_path / name)
