"""A desk without an app: how a text is changed, opened, saved, and what is said of it."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from charlstm import storage, user_files
from charlstm.generation import session_file
from charlstm.generation.clamp import Clamp
from charlstm.generation.rows import TYPED
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.session_file import load_session
from charlstm.model.file import load_model, save_model
from charlstm.paths import state_dir
from charlstm.runs.folder import Run, delete_run, rename_run
from charlstm.text.corpus import line_numbers, open_corpus
from charlstm.text.reading import TextOptions
from charlstm.text.sentences import sentence_ends
from charlstm_tui import app_state
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.formatting import home
from charlstm_tui.generate import text_picker
from charlstm_tui.main import command
from charlstm_tui.player import desk as desk_module
from charlstm_tui.player import saved_sessions, session_saver, text_saving
from charlstm_tui.player.model_thread import Batch
from charlstm_tui.player.opening import LearntModel, PlayRequest
from charlstm_tui.player.overlap import LineIndex
from charlstm_tui.player.played import FULL, PAUSE_AFTER, Continuations
from charlstm_tui.player.saved_sessions import SavedSession
from played_desk import PlayedDesk
from playing_app import PRIME, at
from recorded_run import record, tiny_model
from wrapped_prose import prose


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_model(path, tiny_model(prime="The morning"))
    return path


@pytest.fixture
def desk() -> Iterator[PlayedDesk]:
    desk = PlayedDesk(saves=True)
    yield desk
    desk.close()


@pytest.fixture
def run_that_is_played(tmp_path: Path, desk: PlayedDesk) -> Run:
    """A run with snapshots after 0, 50, 100, 200, 400, 700 and 1,000 steps. Its best model is played, with a prime."""
    run = record(tmp_path, "finished").run
    desk.open(PlayRequest(str(run.path), prime="The", speed=FULL))
    desk.until(lambda p: p.distribution is not None)
    return run


def test_error_of_a_model_is_gone_while_the_next_one_opens(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest("nothing"))
    assert desk.finish().error
    desk._spawn = lambda job: job.close()  # it goes on opening
    desk.open(PlayRequest(str(model)))
    assert desk.played.busy
    assert not desk.played.error


def test_streams_a_thousand_and_pauses_and_goes_on(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL, stream=True))
    state = desk.until(lambda p: p.length == PAUSE_AFTER and not p.running)
    assert "1,000" in state.stop_reason
    assert desk.prime == "The morning"
    expected = Session(tiny_model(), "The morning")
    assert desk.line == "".join(step.char for step in expected.stream(PAUSE_AFTER))
    desk.stream(10)
    desk.until(lambda p: p.length == PAUSE_AFTER + 10 and not p.running)


def test_every_change_of_the_text_is_undone_and_done_again(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.stream(40)
    desk.until(lambda p: p.length == 40 and not p.running)
    first = desk.line
    changes: list[tuple[str, Callable[[], object]]] = [
        ("moving", lambda: desk.move(at(20))),
        ("choosing", lambda: desk.choose("a" if first[20] != "a" else "b", at(20))),
        ("typing", lambda: desk.insert_at("own", at(5))),
        ("switching branches", lambda: desk.switch(0)),
        ("pruning", lambda: desk.prune(1)),
        ("regenerating", lambda: desk.regenerate(at(30))),
    ]
    seen: list[tuple[str, int]] = []

    def facts() -> tuple[str, int]:
        assert desk.played is not None
        return desk.line, desk.played.position

    for kind, change in changes:
        seen.append(facts())
        change()
        desk.until(lambda p, kind=kind: p.undoable == kind and not p.running)  # type: ignore[misc]
    seen.append(facts())
    for place in reversed(range(len(changes))):
        desk.undo()
        desk.until(lambda p, place=place: p.note == f"Undone: {changes[place][0]}.")  # type: ignore[misc]
        assert facts() == seen[place]
    for place in range(len(changes)):
        desk.redo()
        desk.until(lambda p, place=place: p.note == f"Done again: {changes[place][0]}.")  # type: ignore[misc]
        assert facts() == seen[place + 1]


def test_what_a_model_of_plain_letters_does_not_know_is_read_plainly(tmp_path: Path, desk: PlayedDesk) -> None:
    path = tmp_path / "plain.safetensors"
    save_model(path, tiny_model(symbols=tuple("\n abcdefghijklmnopqrstuvwxyzC,'-")))
    desk.open(PlayRequest(str(path), prime="Œe né", speed=FULL))
    state = desk.until(lambda p: p.distribution is not None)
    assert (desk.prime, state.note) == ("Œe né", "The model reads Œ as a space, é as e.")
    desk.set_writing(True)
    desk.insert("\r\n\x07Café, “quoth he” — and nai\u0308ve ☃Ω")
    state = desk.until(lambda p: p.length > 5)
    assert desk.line == "\nCafé, “quoth he” — and naïve ☃Ω"
    assert state.note == "The model reads é as e, “ as ', ” as ', — as -, ï as i, ☃ as a space …."
    state = desk.until(lambda p: p.read_to == p.size and p.bits_per_char is not None)
    assert state.read_as == "Ω, read as a space"
    rows = [mark & 0b111 for mark in desk.marks]
    unknown = [place for place, char in enumerate(desk.line) if char in "é“”—ï☃Ω"]
    assert [place for place, level in enumerate(rows) if not level] == unknown  # their figures are another's
    desk.move(9)
    state = desk.until(lambda p: p.position == 9)
    assert (state.current_char, state.read_as) == ("é", "é, read as e")
    assert state.current_probability is not None


def test_pruning_says_what_is_gone_and_how_it_comes_back(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.until(lambda p: p.distribution is not None)
    desk.insert_at("one two three", at(0))
    desk.insert_at("six", at(4))
    desk.insert_at("even", at(5))
    desk.rename(2, "the light speaks")
    desk.until(lambda p: len(p.branches) == 3)
    desk.prune(2)
    state = desk.until(lambda p: len(p.branches) == 2)
    assert state.note == "Pruned branch “the light speaks” (4 characters): Ctrl+Z brings it back."
    desk.undo()
    desk.until(lambda p: len(p.branches) == 3)
    desk.prune(1)
    state = desk.until(lambda p: len(p.branches) == 1)
    assert state.note == "Pruned branch 1 (3 characters) and 1 that parted from it: Ctrl+Z brings them back."


def test_a_model_with_huge_weights_is_one_sentence(tmp_path: Path, desk: PlayedDesk) -> None:
    model = tiny_model(prime="The morning")
    path = tmp_path / "huge.safetensors"
    save_model(path, replace(model, weights={name: 3e38 * np.sign(array) for name, array in model.weights.items()}))
    desk.open(PlayRequest(str(path), stream=True))
    state = desk.until(lambda p: bool(p.error))
    assert "predictions are not finite" in state.error


@pytest.mark.usefixtures("run_that_is_played")
def test_text_of_which_words_were_erased_and_held_cells_stay_with_another_checkpoint(desk: PlayedDesk) -> None:
    desk.stream(40)
    before = desk.until(lambda p: p.length == 40 and not p.running)
    desk.set_writing(True)
    desk.erase(10, 0)
    desk.set_writing(False)
    held = (Clamp(1, 1, value=1.0),)
    desk.change_clamps(lambda clamps: held)
    ahead, text = desk.until(lambda p: p.length == 30).distribution, desk.line
    desk.load_checkpoint(-1)
    state = desk.until(lambda p: p.session_id != before.session_id and p.distribution is not None)
    assert (desk.line, state.clamps, state.request.clamps) == (text, held, ())
    assert state.distribution != ahead, "the other model has read the text"


@pytest.mark.usefixtures("run_that_is_played")
def test_cells_that_are_held_stay_so_with_another_checkpoint(desk: PlayedDesk) -> None:
    held = (Clamp(1, 1, value=1.0),)
    desk.change_clamps(lambda clamps: held)
    before = desk.until(lambda p: p.clamps == held)
    desk.load_checkpoint(-1)
    state = desk.until(lambda p: p.session_id != before.session_id and p.distribution is not None)
    assert (state.clamps, state.request.clamps) == (held, ())


def test_run_without_its_best_model_is_played_with_its_last_snapshot(tmp_path: Path, desk: PlayedDesk) -> None:
    run = record(tmp_path, "finished", steps=200).run
    run.model_path.unlink()
    desk.open(PlayRequest(str(run.path)))
    facts = desk.until(lambda p: p.facts is not None and p.distribution is not None).facts
    assert facts is not None
    assert (facts.step, facts.checkpoint_steps) == (200, (0, 50, 100, 200))


def test_checkpoints_of_a_run_that_is_gone_leave_the_text(run_that_is_played: Run, desk: PlayedDesk) -> None:
    desk.insert("own")
    desk.until(lambda p: p.length == 3)
    delete_run(run_that_is_played)
    for direction in (-1, 1):
        desk.load_checkpoint(direction)
        state = desk.finish()
        assert (state.note, state.error, state.length) == ("The run has no models any more.", "", 3)


def test_text_that_stays_with_another_model_of_the_run_replaces_none(run_that_is_played: Run, desk: PlayedDesk) -> None:
    """Generate offered to bring back the older text before it as the one that the key had replaced."""
    desk.insert("older")
    desk.open(PlayRequest(str(run_that_is_played.path), prime="The", speed=FULL))
    desk.until(lambda p: p.replaced is not None and p.distribution is not None)
    desk.insert("own")
    before = desk.played
    desk.load_checkpoint(-1)
    state = desk.until(lambda p: p.session_id != before.session_id and p.distribution is not None)
    assert (desk.line, state.replaced) == ("own", None)


@pytest.mark.parametrize(("direction", "step"), [(-1, 400), (1, 700), (-2, 200), (2, 1000), (-9, 0), (9, 1000)])
def test_checkpoint_beside_a_model_that_is_none_any_more_is_the_next_one(
    direction: int, step: int, run_that_is_played: Run, desk: PlayedDesk
) -> None:
    """A best model that was superseded, for example."""
    before = desk.played
    assert desk.about is not None
    desk.about = replace(desk.about, facts=replace(desk.about.facts, step=450))
    desk.load_checkpoint(direction)
    state = desk.until(lambda p: p.session_id != before.session_id and p.distribution is not None)
    assert state.facts is not None
    assert state.facts.step == step


def test_lines_of_copied_passages_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "house.txt").write_text(prose(20), encoding="utf-8")
    corpus = open_corpus(tmp_path / "house.txt", TextOptions(lines="auto"))
    places = np.arange(0, corpus.chars, 37)
    lines = LineIndex(corpus)
    assert [lines.line(place) for place in places.tolist()] == line_numbers(corpus, places).tolist()
    assert lines.line(corpus.chars - 1) == prose(20).count("\n")


def test_a_session_saves_itself_at_the_end_and_is_gone_on_with(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL, settings=SamplerSettings(temperature=0.5)))
    desk.stream(30)
    keep = desk.until(lambda p: p.length == 30 and not p.running and p.file is not None).file
    desk.choose("x", at(10))
    desk.until(lambda p: p.length == 11)
    line = desk.line
    desk.close()
    assert keep is not None
    assert keep.is_file()
    again = PlayedDesk(saves=True)
    again.open(PlayRequest(str(model), session=keep))
    assert again.line == line
    assert again.played.settings.temperature == 0.5
    assert len(again.played.branches) == 2
    again.close()


def test_cursor_is_behind_a_continuation_that_is_put_into_a_text(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model)))
    desk.set_writing(True)
    desk.insert("before after")
    place = desk.played.position - 5
    desk.move(place)
    desk.put_in("and")
    assert (desk.played.position, desk.line[-10:]) == (place + 3, " and after")


@pytest.mark.parametrize("ends", [True, False])
def test_continuation_in_one_sentence_goes_on_to_its_end(
    model: Path, desk: PlayedDesk, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    desk.open(PlayRequest(str(model)))
    found: list[Continuations] = []
    desk.ways_on(6, 20, 2, 1, found.append)
    desk.finish()
    assert found[-1].complete
    shown = found[-1].found[1].text
    assert not list(sentence_ends(shown))
    monkeypatch.setattr(desk_module, "LONGEST_SENTENCE", 5000 if ends else 25)  # the model writes few ends
    desk.put_in_sentence(shown, 6, 1)
    state = desk.until(lambda p: p.length > 0)
    assert desk.line.startswith(shown)
    assert ("No sentence ended" in state.note) is not ends
    assert (list(sentence_ends(f"{desk.line} "))[:1] == [len(desk.line)]) is ends


def automatic(place: Path, number: int) -> Path:
    """A name of the app's own."""
    return place / f"auto-20261127-20{number // 60:02d}{number % 60:02d}.json"


def saved(path: Path, ago: float, length: int, *, edited: bool = False, continues: str = "") -> Path:
    """The beginning of a session file, saved so many seconds ago."""
    path.parent.mkdir(exist_ok=True)
    summary = {"length": length, "begins": "The", "edited": edited, "continues": continues}
    path.write_text(json.dumps({"format": 2, "kind": "charlstm session", "summary": summary}))
    os.utime(path, (time.time() - ago, time.time() - ago))
    return path


def test_newest_sessions_with_work_stay_and_all_that_have_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_sessions, "MOST_AUTO", 3)
    monkeypatch.setattr(saved_sessions, "MOST_OTHERS", 2)
    place = tmp_path / "sessions"
    streams = [saved(place / f"auto-20260101-00000{age}.json", age, 68) for age in range(4)]
    stories = [saved(place / f"auto-20260102-00000{age}.json", 100 + age, 68, edited=True) for age in range(4)]
    mine = saved(place / "mine.json", 1e6, 10)
    saved_sessions.forget_old(place)
    assert set(place.iterdir()) == {*streams[:2], *stories[:3], mine}


def test_last_session_is_the_newest_with_work_in_it(tmp_path: Path) -> None:
    place = tmp_path / "sessions"

    def last(closed: SavedSession | None = None) -> Path | None:
        found = saved_sessions.last(place, closed)
        return None if found is None else found.path

    empty = saved(place / "auto-empty.json", 1, 0)
    assert last() is None
    saved(empty, 1, 0, edited=True)
    assert last() == empty  # branches and undo may have a text
    stream = saved(place / "auto-stream.json", 2, 68)
    (place / "auto-broken.json").write_text("{}")
    assert last() == stream
    story = saved(place / "auto-story.json", 4, 68, edited=True)
    assert last() == story
    saved(place / "auto-long.json", 3, 1500)  # which only grew
    assert last() == story
    closed = SavedSession(place / "auto-not-written.json", time.time(), session_file.SessionSummary(10, "", True))
    assert last(closed=closed) == closed.path


def test_list_has_files_of_ones_own_wherever_they_are_and_texts_that_only_grew_come_last(tmp_path: Path) -> None:
    place = tmp_path / "sessions"
    grew = saved(automatic(place, 1), 10, 2000)
    beside = saved(place / "beside.json", 50, 70, edited=True)
    mine = saved(tmp_path / "texts" / "mine.json", 40, 80, edited=True)
    named = saved(tmp_path / "texts" / "named.json", 60, 80, edited=True)
    old = saved(automatic(place, 2), 70, 110, edited=True, continues=str(named))  # as 0.3 wrote it
    for path in (mine, beside, tmp_path / "gone.json"):
        saved_sessions.remember(path)
    rows = text_picker.texts(place)
    assert [Path(path) for path, _, _ in rows] == [mine, beside, named, old, grew]
    flags = [about.split(" · ")[0] for _, _, about in rows]
    assert flags == ["your file mine.json", "your file beside.json", "your file named.json", "110 chars", "not kept"]
    assert [each.path for each in saved_sessions.everywhere(place, since=time.time() - 45)] == [grew, mine]


def test_files_of_the_users_are_remembered_once_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_state, "MOST_FILES", 2)
    app_state.save_state({"theme": "nord"})
    for name in "abcb":
        app_state.remember_file(tmp_path / name)
    assert app_state.own_files() == [tmp_path / "b", tmp_path / "c"]
    assert app_state.load_state().theme == "nord"
    app_state.save_state({"own_files": "damaged"})
    assert app_state.own_files() == []


def test_session_whose_text_was_undone_is_listed_and_named_at_the_end(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model)))
    desk.insert("a story")
    file = desk.saved(7).file
    desk.undo()
    desk.saved(0)
    assert desk.close(60)
    assert file is not None
    (session,) = saved_sessions.saved(file.parent)
    assert (session.length, session.is_listed) == (0, True)
    assert saved_sessions.kept(file) == f"The text is kept: {saved_sessions.continues(file)}."
    file.write_bytes(b"damaged")
    (session,) = saved_sessions.saved(file.parent)
    assert session.is_listed
    assert not saved_sessions.kept(file)


def test_text_before_another_prime_is_the_last_session(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.stream(30)
    desk.until(lambda p: p.length == 30 and not p.running)
    desk.choose("x", at(10))
    story = desk.until(lambda p: p.length == 11 and p.file is not None)
    line = desk.line
    desk.open(PlayRequest(str(model), prime="e", speed=FULL, stream=True))
    other = desk.until(lambda p: desk.prime == "e" and p.length > 30 and p.file is not None)
    assert story.replaced is None
    assert other.file != story.file  # in the same second
    assert other.replaced is not None
    assert (other.replaced.path, other.replaced.length) == (story.file, 11)
    assert other.last_session == other.replaced
    desk.undo()
    assert desk.until(lambda p: "nothing to undo" in p.note).file == other.file
    desk.open(PlayRequest(str(model), session=story.file))
    back = desk.until(lambda p: desk.prime == PRIME and p.request.session is not None)
    assert (desk.line, back.file, back.undoable) == (line, story.file, "choosing")


def test_session_that_is_opened_before_it_is_saved_whole_says_so(
    model: Path, desk: PlayedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.insert("first")
    file = desk.saved(5).file
    monkeypatch.setattr(session_saver.SessionSaver, "flush", lambda *_: False)
    desk.open(PlayRequest(str(model), session=file))
    desk.until(lambda p: p.request.session == file and p.length == 5)
    assert "not saved yet" in " ".join(desk.notes)


def test_a_request_without_settings_and_speed_leaves_them_as_they_are(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=250))
    desk.change_settings(lambda settings: replace(settings, temperature=0.5))
    desk.change_settings(lambda settings: replace(settings, temperature=settings.temperature + 0.1))
    desk.change_speed(lambda speed: speed * 2)
    desk.open(PlayRequest(str(model), prime="Again"))
    state = desk.until(lambda p: desk.prime == "Again")
    assert (state.settings.temperature, state.speed) == (0.6, 500)


def test_a_cursor_that_is_moved_writes_no_file_of_the_users(model: Path, desk: PlayedDesk, tmp_path: Path) -> None:
    desk.open(PlayRequest(str(model)))
    desk.insert("own")
    path = tmp_path / "page.json"
    desk.save_as(path, None)
    desk.until(lambda p: p.file == path)
    desk.open(PlayRequest(str(model), session=path))
    desk.until(lambda p: p.request.session == path)
    content = path.read_bytes()
    desk.move(at(1))
    desk.saved(3)
    assert path.read_bytes() == content
    desk.insert("x")
    desk.saved(4)
    assert session_file.read(path).text == f"{PRIME}oxwn"


def test_failure_of_a_text_that_was_played_before_is_said_while_another_is_played(
    tmp_path: Path, model: Path, desk: PlayedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_saving, "WAIT_FOR_FILE", 0.05)
    run = record(tmp_path, "finished").run
    run.sessions_dir.write_text("in the way")
    desk.open(PlayRequest(str(run.path)))
    desk.insert("first")
    desk.open(PlayRequest(str(model), prime="The"))
    desk.until(lambda p: desk.prime == "The" and "It is tried again" in p.not_saved)
    desk.close_whole()
    (sentence,) = desk.rescue()
    (kept,) = (state_dir() / "sessions" / "unsaved").glob("auto-*.json")
    assert home(kept) in sentence
    assert load_session(kept, load_model(run.model_path)).read() == "first"


def test_title_of_a_text_that_was_played_before_is_in_its_file(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model)))
    desk.insert("own")
    path = desk.saved(3).file
    assert path is not None
    desk.open(PlayRequest(str(model), prime="The"))
    desk.until(lambda p: desk.prime == "The")
    desk.give_title("The bell", path)
    assert session_file.read(path).title == "The bell"


def test_what_can_be_saved_nowhere_is_said_at_the_end(model: Path, own_home: Path, desk: PlayedDesk) -> None:
    (own_home / ".local").write_text("in the way")
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.insert("own")
    desk.until(lambda p: p.length == 3)
    desk.close_whole()
    (sentence,) = desk.rescue()
    assert "cannot be saved" in sentence
    assert sentence.endswith("Its latest changes are lost.")


def test_session_follows_its_run_through_a_rename(tmp_path: Path, desk: PlayedDesk) -> None:
    run = record(tmp_path, "finished").run
    desk.open(PlayRequest(str(run.path), speed=FULL))
    desk.insert("first ")
    desk.saved(6)
    renamed = rename_run(run, "renamed")
    desk.rename_run(run.path, renamed.path)
    assert record(tmp_path, "finished").run == run  # another one, which has its name now
    desk.insert("second")
    state = desk.until(lambda p: p.file is not None and p.file.parent == renamed.sessions_dir)
    assert state.facts is not None
    assert (state.facts.run, state.facts.name) == (renamed.path, "renamed")
    desk.insert(" third")
    desk.until(lambda p: p.length == 18)
    assert desk.close(60)
    (file,) = renamed.sessions_dir.glob("*.json")
    assert file == state.file == desk.file
    assert load_session(file, load_model(renamed.model_path)).read() == "first second third"
    assert not run.sessions_dir.exists()


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("auto-20261127-203000.json", True),
        ("auto-20261127-203000-12.json", True),
        ("auto-story.json", False),
        ("auto-20261127-203000-final.json", False),
        ("auto-20261127-203000.json.json", False),
        ("auto-biography.json", False),
    ],
)
def test_a_name_of_the_users_is_not_one_of_the_apps(tmp_path: Path, name: str, own: bool) -> None:
    path = saved(tmp_path / name, 0, 68)
    session = saved_sessions.session_at(path)
    assert session is not None
    assert session.automatic == own
    assert session.name == ("" if own else name)
    assert saved_sessions.is_automatic(path, tmp_path) == own
    assert saved_sessions.AUTO_NAME.fullmatch(saved_sessions.new_name(tmp_path).name)


@pytest.mark.parametrize("settings", [SamplerSettings(temperature=0.3), SamplerSettings(top_k=2, temperature=0.2)])
def test_regenerating_changes_the_text_and_is_undone_with_its_seed(
    model: Path, desk: PlayedDesk, settings: SamplerSettings
) -> None:
    desk.open(PlayRequest(str(model), speed=FULL, settings=settings, seed=3))
    desk.stream(60)
    desk.until(lambda p: p.length == 60 and not p.running)
    text = desk.line
    desk.change_speed(lambda speed: 0)
    for position in range(0, 60, 6):
        desk.regenerate(at(position))
        desk.until(lambda p: p.undoable == "regenerating")
        assert desk.line[:position] == text[:position]
        assert desk.line != text[: len(desk.line)], position
        assert desk.document.seed != 3
        desk.undo()
        desk.until(lambda p: p.redoable == "regenerating")
        assert (desk.line, desk.document.seed) == (text, 3)
    desk.redo()
    desk.until(lambda p: p.undoable == "regenerating")
    assert desk.document.seed != 3


def test_regenerating_says_where_nothing_else_can_be_drawn(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL, settings=SamplerSettings(temperature=0)))
    desk.stream(60)
    desk.until(lambda p: p.length == 60 and not p.running)
    text = desk.line
    desk.regenerate(at(20))
    state = desk.until(lambda p: bool(p.failure))
    assert "writes the same again" in state.failure
    assert (desk.line, state.running, desk.document.seed) == (text, False, 0)
    desk.change_settings(lambda settings: replace(settings, temperature=1.0))
    desk.regenerate(at(20))
    desk.until(lambda p: p.length > 60 and not p.running)
    assert desk.line[:20] == text[:20]
    assert desk.line[:60] != text


# ---- closing the app and opening another text while something waits


def test_closing_waits_for_an_export(
    model: Path, desk: PlayedDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, path, save = threading.Event(), tmp_path / "story.html", user_files.save_bytes
    monkeypatch.setattr(text_saving, "WAIT_FOR_FILE", 0.01)
    monkeypatch.setattr(user_files, "save_bytes", lambda *arguments: (release.wait(60), save(*arguments)))
    desk.open(PlayRequest(str(model)))
    desk.insert("hello")
    desk.saved(5)
    desk.save_as(path, None)
    assert not desk.close(0.5)
    release.set()
    assert desk.close(60)
    assert "hello" in path.read_text()
    assert not desk.rescue()


def test_export_that_fails_at_the_end_is_said(model: Path, desk: PlayedDesk, tmp_path: Path) -> None:
    desk.open(PlayRequest(str(model)))
    desk.insert("hello")
    desk.saved(5)
    (tmp_path / "way").write_text("in the way")
    desk.save_as(tmp_path / "way" / "story.md", None)
    assert desk.close(60)
    failure, kept = desk.rescue()
    assert "story.md cannot be written" in failure
    assert kept.startswith("The text is kept")


def test_closing_waits_for_a_slow_disk_if_it_may(
    model: Path, desk: PlayedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, replace_file = threading.Event(), storage.replace_file

    def slow(*arguments: Any, **options: Any) -> None:
        release.wait(60)
        replace_file(*arguments, **options)

    monkeypatch.setattr(storage, "replace_file", slow)
    desk.open(PlayRequest(str(model), speed=FULL))
    for text in ("one", "two", "three"):
        desk.insert(text)
        desk.until(lambda p, text=text: desk.line.endswith(text))
    assert not desk.close(0.3)
    release.set()
    assert desk.close(60)
    assert desk.file is not None
    assert load_session(desk.file, load_model(model)).read() == "onetwothree"


def test_a_sentence_says_that_a_session_is_still_being_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_DRIVER", "none")
    monkeypatch.setattr(CharLSTMApp, "run", lambda app, **_: app.unfinished.append(lambda: "It is saved."))
    result = CliRunner().invoke(command, [], standalone_mode=False)
    assert result.exception is None
    assert result.stderr.splitlines() == ["Saving the session …", "It is saved."]


def test_a_save_that_is_interrupted_at_the_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setenv("TEXTUAL_DRIVER", "none")
    monkeypatch.setattr(CharLSTMApp, "run", lambda app, **_: app.unfinished.append(interrupted))
    assert "what was not in its file yet is lost" in CliRunner().invoke(command, [], standalone_mode=False).stderr


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("insert_at", ("he ha", at(2))),
        ("regenerate", (at(2),)),
        ("alternative", (1, at(2))),
    ],
)
def test_note_says_how_much_left_the_page_and_on_which_branch_it_is(
    desk: PlayedDesk, model: Path, operation: str, arguments: tuple[Any, ...]
) -> None:
    desk.open(PlayRequest(str(model), prime=PRIME, speed=0.0))
    desk.until(lambda p: p.distribution is not None)
    desk.change_speed(lambda speed: FULL)
    desk.stream(40)
    desk.until(lambda p: p.length == 40 and not p.running)
    desk.rename(0, "storm")
    desk.change_speed(lambda speed: 0.0)
    desk.move(at(2))
    getattr(desk, operation)(*arguments)
    desk.until(lambda p: len(p.branches) == 2)
    left = re.fullmatch(
        r"(\d+) characters are on branch “storm” now: b shows branches, Ctrl\+Z undoes\.", desk.notes[-1]
    )
    assert left is not None
    assert 30 < int(left[1]) <= 38
    desk.undo()
    desk.until(lambda p: p.length == 40)


def test_key_that_changes_nothing_and_another_seed_give_the_user_no_part_in_a_text(
    model: Path, desk: PlayedDesk
) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.stream(30)
    desk.until(lambda p: p.length == 30 and not p.running)
    for operation, arguments in (("redo", ()), ("erase", (0, 1)), ("cut_rest", ())):
        getattr(desk, operation)(*arguments)
    assert not desk.until(lambda p: "nothing after the cursor" in p.note).edited
    desk.regenerate(at(10))
    assert not desk.until(lambda p: len(p.branches) == 2).edited
    desk.choose("x", at(5))
    assert desk.until(lambda p: p.length == 6).edited


def test_texts_that_only_grew_share_a_file_which_is_deleted_at_the_end(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.stream(30)
    file = desk.saved(30).file
    assert file is not None
    for prime in "et":
        desk.open(PlayRequest(str(model), prime=prime, speed=FULL))
        desk.stream(1100)
        desk.until(lambda p, prime=prime: desk.prime == prime and p.length == 1100)  # type: ignore[misc]
        assert desk.saved(1100).file == file
    (session,) = saved_sessions.saved(file.parent)
    assert (session.length, session.has_work) == (1100, False)  # however long it is
    assert desk.close(60)
    assert file.exists()  # as when the app is killed
    assert desk.close(60, delete_unkept=True)
    assert not file.exists()


def test_text_that_is_written_in_while_another_is_opened_keeps_its_file(
    model: Path, desk: PlayedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.stream(30)
    file, load = desk.saved(30).file, desk_module.load
    assert file is not None
    monkeypatch.setattr(desk_module, "load", lambda *arguments: (desk.insert("own"), load(*arguments))[1])
    desk.open(PlayRequest(str(model), prime="The"))
    desk.insert("!")
    assert desk.saved(1).file != file
    assert "own" in session_file.read(file).text


@pytest.mark.parametrize(
    ("content", "text", "said"),
    [
        ("\ufeffZoë\r\ncafe\u0301 £5\n".encode(), "Zoë\ncafé £5\n", ""),
        ("“Ça” — déjà vu, à la garçonne\n".encode("cp1252"), "“Ça” — déjà vu, à la garçonne\n", ""),
        ("Zoë\n".encode("utf-16"), "Zoë\n", ""),
        (b"one\x07 two\n", "one two\n", "1 control character left out."),
        (b"", "", ""),
    ],
)
def test_file_of_text_becomes_a_text_of_the_apps_own(
    model: Path, desk: PlayedDesk, tmp_path: Path, content: bytes, text: str, said: str
) -> None:
    path = tmp_path / "page one.txt"
    path.write_bytes(content)
    desk.open(PlayRequest(str(model), session=path))
    played = desk.until(lambda p: p.request.session == path)
    assert (played.text.text.read(), played.prime_length, played.title, played.undoable) == (text, 0, "page one", "")
    assert set(played.text.text.sources()) <= {TYPED}
    assert said in " ".join(desk.notes)
    desk.move(len(text))
    assert desk.finish().file is None  # nothing was done to it
    desk.insert("x")
    file = desk.saved(len(text) + 1).file
    assert file is not None
    assert saved_sessions.AUTO_NAME.fullmatch(file.name)
    assert desk.close(60, delete_unkept=True)
    assert (session_file.read(file).text, session_file.read(file).title) == (f"{text}x", "page one")
    assert path.read_bytes() == content


@pytest.mark.parametrize(("content", "said"), [(bytes(range(256)) * 20, "looks like binary data"), (None, "no file")])
def test_file_that_is_no_text_is_said_and_the_text_stays(
    model: Path, desk: PlayedDesk, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "page.txt"
    if content is not None:
        path.write_bytes(content)
    desk.open(PlayRequest(str(model)))
    desk.insert("own")
    desk.open(PlayRequest(str(model), session=path))
    assert desk.until(lambda p: said in p.failure).length == 3


@pytest.mark.parametrize("ending", [".json", ".txt"])
def test_text_that_was_saved_or_exported_is_kept(model: Path, desk: PlayedDesk, tmp_path: Path, ending: str) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.stream(30)
    desk.saved(30)
    desk.save_as(tmp_path / f"mine{ending}", None)
    file = desk.until(lambda p: p.edited and p.file is not None and "mine" in p.note).file
    assert (file == tmp_path / "mine.json") is (ending == ".json")
    assert desk.close(60, delete_unkept=True)
    assert file is not None
    assert file.exists()


def test_batch_of_an_order_that_does_not_stand_any_more_is_dropped(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.finish()
    order = desk._order
    assert order is not None
    desk.insert("own")
    desk.take(Batch(order, added="late"))
    assert desk.finish().text.text.read() == PRIME + "own"


def test_generating_that_is_stopped_before_it_made_anything_is_no_step(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.insert("own")
    desk.stream()
    desk.pause()
    assert desk.finish().undoable == "typing"


def test_candidates_of_another_place_stay_until_those_of_the_cursor_come(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model), speed=FULL))
    desk.insert("own text")
    before = desk.finish()
    desk.move_by(-3)
    assert (desk.played.distribution, desk.played.is_current) == (before.distribution, False)
    after = desk.finish()
    assert after.is_current
    assert after.distribution != before.distribution


def test_candidates_stay_those_of_the_cursor_when_a_copy_has_learnt(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model)))
    state = desk.until(lambda p: p.is_current)
    assert desk.about is not None
    loaded = desk.about.loaded
    desk.suggest_with(LearntModel(loaded.model, loaded.stepper, 1.0), state.session_id)  # which was begun in Write
    assert desk.finish().is_current


def test_edit_ends_what_was_asked_of_the_model(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model)))
    desk.insert("the light")
    desk.set_writing(True)
    found: list[Continuations] = []
    desk.ways_on(2, 10, 1, 1, found.append)
    assert not desk.keys_wait  # it changes nothing
    desk.insert(" on")
    desk.finish()
    assert not found
    desk.set_writing(False)
    desk.regenerate(at(3))
    assert desk.keys_wait
    assert desk.cancel()
    assert desk.finish().text.text.read() == f"{PRIME}the light on"
    assert not desk.keys_wait


def test_suggestions_come_at_the_end_of_each_paragraph(model: Path, desk: PlayedDesk) -> None:
    desk.open(PlayRequest(str(model)))
    desk.finish()
    desk.set_writing(True)
    desk.insert(" was grey.\nThe evening")
    desk.move(21)
    within = desk.finish()
    assert within.suggests
    assert within.suggestion
    assert within.read_to == within.size  # what follows is read too
    accepted = within.suggestion.split()[0]
    desk.accept(within.suggestion[: within.suggestion.index(accepted) + len(accepted)])
    assert str(desk.document.text).endswith(f"{accepted}\nThe evening")
    desk.move(desk.document.cursor - 1)
    assert not desk.finish().suggests
