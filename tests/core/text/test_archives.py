"""Compressed texts and zip archives, and their limits."""

from __future__ import annotations

import gzip
import lzma
import zipfile
from pathlib import Path

import pytest

from charlstm.errors import TextError
from charlstm.text import archives
from charlstm.text.corpus import encoding_choices, open_corpus, preview
from charlstm.text.reading import USUAL, TextOptions
from charlstm.text.sources import BLOCK
from made_documents import as_text, made_book, write_epub, write_html, write_zip
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
    assert encoding_choices(tmp_path / "packed")[0].name == "cp1250"


def test_a_compressed_document_is_read_as_a_document(tmp_path: Path) -> None:
    for name, write in (("a.epub", write_epub), ("b.html", write_html)):
        packed = tmp_path / f"{name}.xz"
        packed.write_bytes(lzma.compress(write(tmp_path / name, BOOK).read_bytes()))
        assert open_corpus(packed, USUAL).text() == as_text(BOOK)


def archive_of_all_kinds(path: Path, epub: bytes) -> Path:
    files: dict[str, str | bytes] = {"b/2.txt": "two\n", "a.txt.gz": gzip.compress(b"packed\n"), "b/1.txt": "one"}
    return write_zip(path, files | {"book.epub": epub, ".hidden.txt": "no", "__MACOSX/b/1.txt": "no", "c.csv": "1,2"})


@pytest.mark.parametrize("folder", [False, True])
def test_an_archive_is_read_as_a_folder_would_be(tmp_path: Path, folder: bool) -> None:
    epub = write_epub(tmp_path / "book.epub", BOOK).read_bytes()
    path = archive_of_all_kinds(tmp_path / "texts.zip", epub)
    if folder:
        zipfile.ZipFile(path).extractall(
            tmp_path / "texts", [".hidden.txt", "a.txt.gz", "b/1.txt", "b/2.txt", "book.epub"]
        )
        path = tmp_path / "texts"
    assert open_corpus(path).text() == "one\ntwo\n"
    corpus = open_corpus(path, TextOptions(pattern="*.txt, *.gz, *.epub"))
    assert corpus.text() == f"packed\none\ntwo\n{as_text(BOOK)}"
    assert preview(path).files == 2


def test_a_folder_may_have_archives(tmp_path: Path) -> None:
    (tmp_path / "z.txt").write_text("last")
    write_zip(tmp_path / "a.zip", {"1.txt": "first", "2.txt": "second"})
    assert open_corpus(tmp_path, TextOptions(pattern="*.txt,*.zip")).text() == "first\nsecond\nlast"


def test_an_archive_without_texts_says_what_it_has(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1.md": "one", "2.md": "two"})
    with pytest.raises(TextError, match=r"a.zip has no files that match \*.txt, but 2 that match \*.md"):
        open_corpus(path)


def test_a_large_compressed_text_is_read_in_blocks(tmp_path: Path) -> None:
    chars = "".join(f"{number:09}\n" for number in range(BLOCK // 5))
    (tmp_path / "text.gz").write_bytes(gzip.compress(chars.encode(), 1))
    corpus = open_corpus(tmp_path / "text.gz")
    assert corpus.chars == len(chars)
    assert corpus.text(-10) == chars[-10:]


def test_what_expands_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_EXPANDED", 2**20)
    bomb = b"a" * (2 * 2**20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bomb))
    (tmp_path / "bomb.xz").write_bytes(lzma.compress(bomb))
    write_zip(tmp_path / "bomb.zip", {"a.txt": bomb})
    for name in ("bomb.gz", "bomb.xz", "bomb.zip"):
        with pytest.raises(TextError, match=f"{name}.* expands to more than 1 MB"):
            open_corpus(tmp_path / name)


@pytest.mark.parametrize("content", ["text", "epub"])
def test_all_of_an_archive_and_of_a_document_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(archives, "MAX_EXPANDED", 2**20)
    monkeypatch.setattr("charlstm.text.documents.MAX_DOCUMENT", 2**10)
    path = tmp_path / "large"
    if content == "epub":
        write_epub(path, BOOK)
    else:
        write_zip(path, {"a.txt": TEXT * 10, "b.txt": TEXT * 10})
    with pytest.raises(TextError, match="large expands to more than"):
        open_corpus(path)


def test_archives_inside_archives_inside_archives_are_refused(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "inner.zip", {"a.txt": "text"}).read_bytes()
    write_zip(tmp_path / "a.zip", {"inner.txt": inner})
    (tmp_path / "b.gz").write_bytes(gzip.compress(inner))
    (tmp_path / "c.gz").write_bytes(gzip.compress(gzip.compress(b"text")))
    for name, message in (("a.zip", "/inner.txt is a zip archive"), ("b.gz", " is a zip"), ("c.gz", " is compressed")):
        with pytest.raises(TextError, match=f"{name}{message}.*: unpack it"):
            open_corpus(tmp_path / name)


@pytest.mark.parametrize("name", ["cut.gz", "cut.xz", "cut.zip", "changed.gz", "changed.zip"])
def test_damaged_archives_are_refused(tmp_path: Path, name: str) -> None:
    path, (how, ending) = tmp_path / name, name.split(".")
    if ending == "zip":
        write_zip(path, {"a.txt": TEXT})
    else:
        path.write_bytes(PACKED[ending](TEXT.encode()))
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] if how == "cut" else data[:middle] + bytes(20) + data[middle + 20 :])
    with pytest.raises(TextError, match=f"{name}.* is damaged or incomplete"):
        open_corpus(path)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.txt": "text"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # its mark in the list of files
    path.write_bytes(data)
    with pytest.raises(TextError, match=r"a.zip/a.txt is encrypted: unpack it"):
        open_corpus(path)


def test_what_python_expands_without_a_limit_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(TextError, match=r"a.txt is compressed in a way that cannot be read here"):
        open_corpus(tmp_path / "a.zip")
