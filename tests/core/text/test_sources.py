from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from charlstm import storage
from charlstm.errors import TextError
from charlstm.text.corpus import open_corpus, preview
from charlstm.text.reading import TextOptions
from charlstm.text.sources import folder_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    texts = {"b.txt": "second", "a.txt": "first\n", "sub/c.txt": "third", "notes.md": "other", ".hidden.txt": "hidden"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_open_corpus_joins_files_of_a_folder_and_several_sources_in_order(folder: Path) -> None:
    corpus = open_corpus(folder)
    assert (corpus.text(), corpus.name) == ("first\nsecond\nthird", folder.name)
    assert open_corpus(folder, TextOptions(pattern="*.md, b.*")).text() == "second\nother"
    corpus = open_corpus([folder / "sub", folder / "b.txt"])
    assert (corpus.text(), corpus.name) == ("third\nsecond", "sub+1")
    assert corpus.sources == (str(folder / "sub"), str(folder / "b.txt"))


def test_folder_files_follows_link_to_other_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "z.txt").write_text("z")
    (folder / "sub" / "link").symlink_to(elsewhere)
    assert [path.name for path in folder_files(folder / "sub", "*.txt")] == ["c.txt", "z.txt"]


def test_missing_file_suggests_similar_name(folder: Path) -> None:
    with pytest.raises(TextError, match=r"There is no file .*note.md; did you mean notes.md\?"):
        open_corpus(folder / "note.md")
    with pytest.raises(TextError, match=r"did you mean python-reference\?"):
        open_corpus("python-refrence")
    with pytest.raises(TextError, match="check the path"):
        open_corpus(folder / "nowhere" / "x")
    with pytest.raises(TextError, match=r"There is no file ~nobody-here/x"):  # the home folder of an unknown user
        open_corpus("~nobody-here/x")
    with pytest.raises(TextError, match="No text was given"):
        open_corpus([])


def test_open_corpus_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("caf\u00e9\r\n".encode("utf-16"))))
    corpus = open_corpus("-")
    assert (corpus.text(), corpus.name, corpus.sources) == ("café\n", "stdin", ("-",))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(TextError, match="Standard input is empty"):
        open_corpus("-")
    with pytest.raises(TextError, match="cannot be joined"):
        open_corpus(["-", "python-reference"])
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(TextError, match="no standard input"):
        open_corpus("-")


def test_preview_and_limited_reading_read_only_the_beginning(folder: Path) -> None:
    big = folder / "a.txt"
    with big.open("wb") as file:
        file.write("Größe\r\n".encode() * 10_000)
        file.truncate(2 * 1024**3)  # sparse
    seen = preview(big, 10)
    assert (seen.text, seen.bytes, seen.complete) == ("Größe\nGröß", 2 * 1024**3, False)
    assert open_corpus(big, TextOptions(max_chars=10)).text() == seen.text
    big.write_text("first")
    whole = preview(folder)
    assert (whole.text, whole.complete, whole.files) == ("first\nsecond\nthird", True, 3)
    short = preview(folder / "sub")
    assert (short.text, short.complete, short.encoding) == ("third", True, "utf-8")


def test_path_has_priority_over_built_in_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "python-reference").write_text("mine")
    assert open_corpus("python-reference").text() == "mine"


def test_open_corpus_refuses_folder_with_too_many_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.text.sources.MAX_NAMES", 3)
    with pytest.raises(TextError, match="more than 3 files: choose a smaller folder"):
        open_corpus(folder)


def test_unreadable_entries_of_folder_are_skipped_and_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = {str(folder / "a.txt"), str(folder / "sub")}

    def unless_locked(call: Callable[..., Any], path: Any, *rest: Any, **more: Any) -> Any:
        if not isinstance(path, int) and os.fspath(path) in locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return call(path, *rest, **more)

    whole = open_corpus(folder)
    assert whole.skipped == ()
    for name in ("open", "scandir"):
        monkeypatch.setattr(os, name, partial(unless_locked, getattr(os, name)))
    monkeypatch.setattr(storage, "CLOCK_GRAIN_NS", 0)
    for _ in range(2):  # read, and from the cache
        corpus = open_corpus(folder)
        assert (corpus.skipped, corpus.chars < whole.chars) == ((str(folder / "a.txt"), str(folder / "sub")), True)
    assert open_corpus(folder / "b.txt", validation=folder).skipped == corpus.skipped
    assert preview(folder).text == "second"
    with pytest.raises(TextError, match=r"a\.txt cannot be read \(no permission\)"):
        open_corpus(folder / "a.txt")
    locked.add(str(folder / "b.txt"))
    with pytest.raises(TextError, match=r"can be read \(.*a\.txt.*\): change their permissions"):
        open_corpus(folder)
