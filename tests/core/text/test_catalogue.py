from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from charlstm import paths
from charlstm.errors import CharLSTMError, TextError
from charlstm.text import builtin
from charlstm.text.catalogue import find_texts
from charlstm.text.corpus import open_corpus, preview
from charlstm.text.reading import TextOptions


def test_find_texts_lists_data_then_files_without_pipes_and_broken_links(tmp_path: Path) -> None:
    for name in ("Zoo.txt", "apple.md", "picture.png", ".hidden.txt", "data/B.TXT", "data/a.txt", "data/a.md", "sub/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    assert find_texts(tmp_path) == [("data/a.txt", 4), ("data/B.TXT", 4), ("apple.md", 4), ("Zoo.txt", 4)]
    assert find_texts(tmp_path / "nowhere") == []


def test_texts_of_python_are_built_in() -> None:
    listed = {one.name: one for one in builtin.builtins()}
    reference = open_corpus("python-reference")
    assert reference.chars == listed["python-reference"].chars
    assert reference.text().count("statement") > 300
    assert reference.report.version == builtin.version()
    source = open_corpus("python-source", TextOptions(max_chars=300_000))
    assert source.chars == 300_000
    assert source.text().count("def ") > 200
    assert preview("python-source", 100).text == source.text(0, 100)


def test_limit_of_a_built_in_text_neither_cuts_nor_leaves_out_a_text_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = ["The first page.\n", "The second page.\n"]
    monkeypatch.setitem(builtin.TEXTS, "pages", builtin.Builtin("pages", "", lambda: iter(pieces), most_chars=20))
    mine = tmp_path / "mine.txt"
    mine.write_text("0123456789" * 3)
    first = "The first page.\nThe "
    assert open_corpus(["pages", mine]).text() == f"{first}\n{'0123456789' * 3}"
    assert open_corpus([mine, "pages"]).text() == f"{'0123456789' * 3}\n{first}"
    limited = open_corpus(["pages", mine], TextOptions(max_chars=40))
    assert limited.text() == "The first page.\nThe second page.\n0123456"
    assert open_corpus("pages", validation=[mine, "pages"]).text() == f"{first}{'0123456789' * 3}\n{first}"


def test_missing_built_in_texts_are_not_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    monkeypatch.setattr("charlstm.text.builtin.sysconfig.get_path", lambda name: str(tmp_path))
    assert {"python-reference", "python-source"}.isdisjoint(each.name for each in builtin.builtins())
    with pytest.raises(TextError, match="does not have the text python-reference"):
        open_corpus("python-reference")


def test_program_folders_are_private_and_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cache", "state", "data"):
        monkeypatch.setenv(f"CHARLSTM_{name.upper()}", str(tmp_path / name))
    for folder, name in ((paths.cache_dir(), "cache"), (paths.state_dir(), "state")):
        assert (folder, folder.stat().st_mode & 0o777) == (tmp_path / name, 0o700)
    assert paths.data_dir() == tmp_path / "data"
    assert not paths.data_dir().exists()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(CharLSTMError, match="set CHARLSTM_CACHE to a folder"):
        paths.cache_dir()
