"""Words that wait for the model when a text is left are in its file, without the model reading them."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm import storage
from charlstm.generation.editor import Editor
from charlstm.generation.saving import load_session, read_summary
from charlstm.generation.session import Session
from charlstm.generation.tree import TYPED, Rows
from charlstm.model.file import load_model, save_model
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.main import command
from charlstm_tui.player.state import FULL, PlayRequest
from charlstm_tui.player.unread_text import UnreadText
from player_listener import Listener
from recorded_run import tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_model(path, tiny_model(prime="The morning"))
    return path


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.player.close(60)
    assert not listener.player.alive


def text_in_file(listener: Listener, model: Path) -> str:
    assert listener.player.file is not None
    return load_session(listener.player.file, load_model(model)).read()


def hold_reading(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on text is not read again: it is tried in vain. Returns the numbers of characters that were tried."""
    tried: list[int] = []

    def refuse(session: Session, rows: Rows) -> None:
        tried.append(len(rows))
        raise AssertionError("the model reads")

    monkeypatch.setattr(Session, "put_back", refuse)
    return tried


def test_words_that_wait_for_reading_are_in_the_file_when_the_app_is_closed(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.stream(400)
    listener.until(lambda p: p.length == 400 and not p.running)
    text = listener.line
    player.set_writing(True)
    player.move_to(5)
    player.insert_at_cursor("own ")
    listener.until(lambda p: p.length == 404)
    released, release = threading.Event(), threading.Event()
    player.change_settings(lambda settings: (released.set(), release.wait(60), settings)[2])
    assert released.wait(60)  # the thread is busy, and commands wait
    player.move_to(404)
    for char in " The end.":
        player.insert_at_cursor(char)
    player.move_by(-1)
    player.erase(before=3)
    player.erase_word(-1)
    player.insert_at_cursor("to be continued")
    player.rename_branch(0, "named")
    player.insert_at_cursor("?")
    player.undo()
    player.move_to(len(text) + 4 + len(" to be continued"))
    player.insert_at_cursor("!")
    player.replace(0, 2, "At first: ")
    with monkeypatch.context() as patch:
        tried = hold_reading(patch)
        assert not player.close(0)
        release.set()
        assert player.close(60)
        assert not tried
    assert text_in_file(listener, model) == "At first: " + text[2:5] + "own " + text[5:] + " to be continued!."
    assert listener.player.file is not None
    assert load_session(listener.player.file, load_model(model)).position == len("At first: ")


def test_a_paste_is_whole_in_the_file_when_the_app_is_closed_meanwhile(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener.player.load(PlayRequest(str(model)))
    listener.until(lambda p: p.distribution is not None)
    listener.player.insert_at_cursor("Then ends it.")
    listener.player.move_to(5)
    text = "the light was on the stairs " * 1000
    listener.player.insert_at_cursor(text)
    listener.until(lambda p: 1000 < p.length < len(text))
    listener.player.insert_at_cursor("and ")
    text += "and "
    assert listener.player.close(60)
    file = listener.player.file
    assert file is not None
    values = storage.read_json(file)
    assert "rest" in values  # the model has not read all of it
    assert values["summary"]["length"] == len("Then " + text + "ends it.")
    assert text_in_file(listener, model) == "Then " + text + "ends it."
    assert load_session(file, load_model(model)).position == len("Then " + text)


def test_words_that_wait_are_kept_when_another_text_is_played(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.stream(400)
    first = listener.until(lambda p: p.length == 400 and not p.running)
    text = listener.line
    player.set_writing(True)
    player.move_to(5)
    player.insert_at_cursor("own ")
    listener.until(lambda p: p.length == 404)
    with monkeypatch.context() as patch:
        hold_reading(patch)
        release = threading.Event()
        player.change_settings(lambda settings: (release.wait(60), settings)[1])
        player.move_to(404)
        player.insert_at_cursor("The end.")
        player.load(PlayRequest(str(model), prime="Now"))
        release.set()
        listener.until(lambda p: p.prime == "Now")
    assert player.close(60)
    assert first.file is not None
    assert load_session(first.file, load_model(model)).read() == text[:5] + "own " + text[5:] + "The end."


def test_own_text_of_play_is_whole_when_the_app_is_closed_meanwhile(model: Path, listener: Listener) -> None:
    """It takes the place of what follows, which stays as a branch."""
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.stream(10)
    listener.until(lambda p: p.length == 10 and not p.running)
    line, text, release = listener.line, "the light was on the stairs " * 10, threading.Event()
    player.change_settings(lambda settings: (release.wait(60), settings)[1])
    player.insert(text, 3)
    player.insert_at_cursor("and on.")
    assert not player.close(0)
    release.set()
    assert player.close(60)
    assert player.file is not None
    session = load_session(player.file, load_model(model))
    assert session.read() == line[:3] + text + "and on."
    session.switch(0)
    assert session.read() == line


def test_moves_that_wait_are_no_work_of_the_users(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(10)
    listener.until(lambda p: p.length == 10 and not p.running)
    release = threading.Event()
    listener.player.change_settings(lambda settings: (release.wait(60), settings)[1])
    listener.player.move_by(-2)
    listener.player.move_to(3)
    assert not listener.player.close(0)
    release.set()
    assert listener.player.close(60)
    assert listener.player.file is not None
    assert not read_summary(listener.player.file).edited
    assert load_session(listener.player.file, load_model(model)).position in (3, 10)


def test_words_for_a_text_that_is_being_opened_are_in_that_text(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.insert_at_cursor("first")
    first = listener.until(lambda p: p.length == 5)
    release = threading.Event()
    player.change_settings(lambda settings: (release.wait(60), settings)[1])
    player.load(PlayRequest(str(model), prime="Now"))
    player.insert_at_cursor("second")
    assert not player.close(0)
    release.set()
    assert player.close(60)
    assert text_in_file(listener, model) == "second"
    assert first.file is not None
    assert first.file != player.file
    assert load_session(first.file, load_model(model)).read() == "first"


def test_closing_waits_for_a_slow_disk_if_it_may(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, replace_file = threading.Event(), storage.replace_file

    def slow(*arguments: Any, **options: Any) -> None:
        release.wait(60)
        replace_file(*arguments, **options)

    monkeypatch.setattr(storage, "replace_file", slow)
    listener.player.load(PlayRequest(str(model), speed=FULL))
    for text in ("one", "two", "three"):
        listener.player.insert_at_cursor(text)
        time.sleep(0.1)
    assert not listener.player.close(0.3)
    timer = threading.Timer(0.3, release.set)
    timer.start()
    assert listener.player.close(None)
    assert text_in_file(listener, model) == "onetwothree"


def test_a_sentence_says_that_a_session_is_still_being_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(app: CharLSTMApp, **_: object) -> None:
        app.unfinished.append(lambda: "It is saved.")

    monkeypatch.setenv("TEXTUAL_DRIVER", "none")
    monkeypatch.setattr(CharLSTMApp, "run", run)
    result = CliRunner().invoke(command, [], standalone_mode=False)
    assert result.exception is None
    assert result.stderr.splitlines() == ["Saving the session …", "It is saved."]


def test_a_save_that_is_interrupted_at_the_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setenv("TEXTUAL_DRIVER", "none")
    monkeypatch.setattr(CharLSTMApp, "run", lambda app, **_: app.unfinished.append(interrupted))
    assert "changes of the session are lost" in CliRunner().invoke(command, [], standalone_mode=False).stderr


MODEL = tiny_model()
EDITS: dict[str, Callable[[UnreadText, int, int, str], None]] = {
    "move": lambda unread, start, stop, text: unread.move(start),
    "word": lambda unread, start, stop, text: unread.move_by_word(1 if stop % 2 else -1),
    "insert": lambda unread, start, stop, text: unread.insert(text),
    "replace": lambda unread, start, stop, text: unread.replace(start, stop, text),
    "erase": lambda unread, start, stop, text: unread.erase(start % 4, stop % 4),
    "erase word": lambda unread, start, stop, text: unread.erase_word(1 if stop % 2 else -1),
}


def edited(name: str, line: str, cursor: int, start: int, stop: int, text: str) -> tuple[str, int]:
    """The same on a string."""
    before = re.search(r"\S*\s*$", line[:cursor])
    after = re.match(r"\s*\S*", line[cursor:])
    assert before is not None
    assert after is not None
    word = cursor + (after.end() if stop % 2 else -len(before.group()))
    match name:
        case "move":
            return line, min(start, len(line))
        case "word":
            return line, word
        case "insert":
            start = stop = cursor
        case "erase":
            start, stop, text = max(0, cursor - start % 4), cursor + stop % 4, ""
        case "erase word":
            start, stop, text = min(word, cursor), max(word, cursor), ""
    start = min(start, len(line))
    stop = min(max(start, stop), len(line))
    return line[:start] + text + line[stop:], start + len(text)


@given(
    edits=st.lists(
        st.tuples(
            st.sampled_from(list(EDITS)),
            st.integers(0, 40),
            st.integers(0, 40),
            st.text("ab \n", min_size=1, max_size=5),
        ),
        max_size=8,
    ),
    place=st.integers(0, 30),
    aside=st.booleans(),
)
@settings(deadline=None, max_examples=100)
def test_any_edits_are_those_of_a_string(edits: list[tuple[str, int, int, str]], place: int, aside: bool) -> None:
    editor = Editor(Session(MODEL, "The"))
    editor.insert("a b  cd\nef and so on, to here ")
    editor.move(place)
    if aside:
        editor.open()
    line, unread = editor.text, UnreadText(editor)
    cursor = place
    texts = [line]
    for name, start, stop, text in edits:
        EDITS[name](unread, start, stop, text)
        line, cursor = edited(name, line, cursor, start, stop, text)
        assert (editor.text, unread.cursor) == (line, cursor)
        texts.append(line)
    unread.read()
    assert editor.session.position == cursor
    assert (editor.rows()["source"] == TYPED).all()
    editor.join()
    assert editor.session.read() == line
    while editor.undo():
        assert editor.text in texts or editor.text == ""


@pytest.mark.parametrize(("takes", "saved"), [(0.5, True), (60.0, False)])
def test_a_process_that_is_ended_by_force_saves_before(tmp_path: Path, takes: float, saved: bool) -> None:
    """After a signal, where the terminal is gone and writing to it blocks; but not for ever."""
    file = tmp_path / "saved"
    script = f"""
import threading, time
from pathlib import Path
from charlstm_tui import process
process.LAST_RESORT, process.SAVE_AT_THE_LATEST = 0.1, 3.0
process.exit_at_the_latest(129, lambda: (time.sleep({takes}), Path({str(file)!r}).write_text("all")))
threading.Event().wait(50)
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=50).returncode == 129
    assert file.exists() == saved
