"""The text of a session file is read and exported without its model."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.errors import GenerationError
from charlstm.generation import saving, session_log, session_text
from charlstm.generation.session import Session
from charlstm.generation.session_log import SessionState
from charlstm.memory import Memory
from charlstm.model.file import Model
from played_documents import about, played

WRITTEN = Path(__file__).parents[2] / "data" / "version_0_2"
EXPECTED = json.loads((WRITTEN / "expected.json").read_text())


def save_log(path: Path, title: str = "", model: str = "/gone/bell") -> str:
    """Save a session as the app does; returns its text."""
    document = played()
    summary = replace(about(document), title=title, model=model)
    with path.open("wb") as file:
        session_log.write_state(file, SessionState(document, tuple("abcdefgh"), summary))
    return document.text.read()


def test_text_of_a_log_is_read_without_its_model(tmp_path: Path) -> None:
    text = save_log(tmp_path / "a.json", "The bell")
    found = session_text.read(tmp_path / "a.json")
    assert (found.text, found.title, found.model, found.note) == (text, "The bell", "/gone/bell", "")
    assert [each.text for each in found.branches] == [text]


@pytest.mark.parametrize("name", EXPECTED)
def test_text_of_a_session_of_0_2_is_read_without_its_model(name: str) -> None:
    expected = EXPECTED[name]
    found = session_text.read(WRITTEN / f"{name}.json")
    assert found.text == expected["prime"] + expected["text"]
    assert [each.number for each in found.branches] == [each["number"] for each in expected["branches"]]


def test_text_of_what_is_no_session_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"kind": "other"}')
    (tmp_path / "b.json").write_text('{"kind": "charlstm session", "format": 9}')
    (tmp_path / "c.json").write_text('{"kind": "charlstm session", "format": 2, "prime": "a", "branches": [{}]}')
    for name, words in (("a", "not a saved session"), ("b", "newer charlstm"), ("c", "damaged"), ("d", "no session")):
        with pytest.raises(GenerationError, match=words):
            session_text.read(tmp_path / f"{name}.json")


@pytest.mark.parametrize("begins", [session_log.HEAD, '{"kind": "charlstm session"'])
def test_file_that_needs_more_memory_than_there_is_is_refused_before_it_is_read(
    begins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read until memory ran out, and the message then asked for a smaller network."""
    monkeypatch.setattr(saving, "machine_memory", lambda: Memory(total=2**30, available=2**20))
    path = tmp_path / "a.json"
    path.write_text(begins)
    os.truncate(path, 2**29)
    with pytest.raises(GenerationError, match=r"536,870,912 bytes, and this machine has not enough memory to read so"):
        session_text.read(path)
    with pytest.raises(GenerationError, match="not enough memory"), saving.reading(tmp_path):
        raise MemoryError


def test_text_is_exported_below_its_title(tmp_path: Path) -> None:
    for name in ("a.txt", "a.prose.txt", "a.md", "a.verse.md", "a.prose.md", "a.html", "a.prose.html"):
        saving.export_text("One\ntwo\n\nthree", tmp_path / name, "The *bell*")
    assert (tmp_path / "a.txt").read_text() == "One\ntwo\n\nthree"
    assert (tmp_path / "a.prose.txt").read_text() == "One two\n\nthree"
    assert (tmp_path / "a.md").read_text() == "# The \\*bell\\*\n\nOne\\\ntwo\n\nthree\n"
    assert (tmp_path / "a.verse.md").read_text() == (tmp_path / "a.md").read_text()
    assert (tmp_path / "a.prose.md").read_text() == "# The \\*bell\\*\n\nOne two\n\nthree\n"
    for name in ("a.html", "a.prose.html"):
        page = (tmp_path / name).read_text()
        assert "<title>The *bell*</title>" in page
        assert "The *bell*</h1>" in page
    with pytest.raises(GenerationError, match=r"not as \.pdf"):
        saving.export_text("One", tmp_path / "a.pdf")
    with pytest.raises(FileExistsError):
        saving.export_text("Two", tmp_path / "a.txt", overwrite=False)


@pytest.mark.parametrize("ending", [".md", ".html", ".tree.html", ".verse.md", ".verse.html", ".prose.html"])
def test_exports_have_the_title_of_the_session(ending: str, model: Model, tmp_path: Path) -> None:
    session = Session(model, "abc")
    saving.export_session(session, tmp_path / f"a{ending}", title="The bell")
    content = (tmp_path / f"a{ending}").read_text()
    assert content.startswith("# The bell\n") if ending.endswith("md") else "<title>The bell</title>" in content
    saving.export_session(session, tmp_path / f"b{ending}")
    assert "The bell" not in (tmp_path / f"b{ending}").read_text()


def test_session_of_a_model_with_other_characters_names_its_model_before_the_path(model: Model, tmp_path: Path) -> None:
    save_log(tmp_path / "a.json")
    with pytest.raises(GenerationError, match=r"^This model has other characters.*model /gone/bell.*File: .*a\.json"):
        saving.load_session(tmp_path / "a.json", model)
