"""The generation thread by itself: what it tells, in what order, and that it ends."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlstm import storage, user_files
from charlstm.generation import editor, saving
from charlstm.generation.sampling import SamplerSettings
from charlstm.generation.saving import load_session
from charlstm.generation.session import Session
from charlstm.generation.tree import Rows
from charlstm.model.file import load_model, save_model
from charlstm.paths import state_dir
from charlstm.runs.folder import Run, delete_run, rename_run
from charlstm_tui.formatting import home
from charlstm_tui.player import playback, saved_sessions, session_writer, thread
from charlstm_tui.player.marks import marks
from charlstm_tui.player.saved_sessions import SavedSession
from charlstm_tui.player.state import FULL, PlayRequest
from charlstm_tui.player.thread import PAUSE_AFTER, Player
from faulty_disk import FaultyDisk
from player_listener import Listener
from playing_app import HeldReading
from recorded_run import record, tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_model(path, tiny_model(prime="The morning"))
    return path


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.player.close()
    assert not listener.player.alive


def test_two_apps_that_are_opened_in_one_second_have_two_files(model: Path, listener: Listener) -> None:
    """Also when both have chosen the name of their file before either has written it."""
    other = Listener()
    try:
        for each in (listener, other):
            each.player.load(PlayRequest(str(model), speed=FULL))
            each.until(lambda p: p.distribution is not None)
        name = saved_sessions.new_name(saved_sessions.folder(None, model))
        for each, text in ((listener, "one"), (other, "two")):
            each.player._playbacks[0].file = name
            each.player.insert_at_cursor(text)
            each.until(lambda p: p.length == 3)
        for each in (listener, other):
            assert each.player.close(60)
    finally:
        other.player.close()
    files = [listener.player.file, other.player.file]
    assert len(set(files)) == 2
    assert name in files
    for file, text in zip(files, ("one", "two"), strict=True):
        assert file is not None
        assert load_session(file, load_model(model)).read() == text


def test_save_of_another_app_while_a_session_is_read_is_not_overwritten(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.insert_at_cursor("first")
    state = listener.until(lambda p: p.length == 5)
    assert player.close(60)
    path = state.file
    assert path is not None
    before = path.read_bytes()

    def read_late(path: Path, *arguments: Any, **options: Any) -> Session:
        session = load_session(path, *arguments, **options)
        other = load_session(path, load_model(model))
        other.type("other")
        saving.save_session(other, path)  # by another app, right after it was read here
        return session

    monkeypatch.setattr(thread, "load_session", read_late)
    again = Listener()
    try:
        again.player.load(PlayRequest(str(model), session=path))
        again.until(lambda p: p.length == 5)
        theirs = path.read_bytes()
        assert theirs != before
        again.player.insert_at_cursor("second")
        again.until(lambda p: p.length == 11)
        assert again.player.close(60)
    finally:
        again.player.close()
    assert path.read_bytes() == theirs
    assert again.player.file not in (None, path)


def test_streams_a_thousand_and_pauses_and_goes_on(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL, stream=True))
    state = listener.until(lambda p: p.length == PAUSE_AFTER and not p.running)
    assert "1,000" in state.stop_reason
    assert state.prime == "The morning"
    expected = Session(tiny_model(), "The morning")
    assert listener.line == "".join(step.char for step in expected.stream(PAUSE_AFTER))
    listener.player.stream(10)
    listener.until(lambda p: p.length == PAUSE_AFTER + 10 and not p.running)


def test_settings_act_on_the_next_character_and_the_line_stands(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(50)
    listener.until(lambda p: p.length == 50 and not p.running)
    stood = listener.line
    listener.player.change_settings(lambda settings: SamplerSettings(temperature=0))
    listener.player.stream(20)
    state = listener.until(lambda p: p.length == 70 and not p.running)
    assert listener.line[:50] == stood
    assert state.settings.temperature == 0
    assert state.distribution is not None
    assert state.distribution.kept == 1


def test_a_choice_branches_and_the_old_line_comes_back(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(40)
    listener.until(lambda p: p.length == 40 and not p.running)
    first = listener.line
    other = "a" if first[10] != "a" else "b"
    listener.player.choose(other, 10)
    state = listener.until(lambda p: p.length == 11)
    assert listener.line == first[:10] + other
    assert [branch.current for branch in state.branches] == [True, True]
    listener.player.stream(5)
    listener.until(lambda p: p.length == 16 and not p.running)
    listener.player.switch_branch(0)
    listener.until(lambda p: p.length == 40)
    assert listener.line == first


def test_every_change_of_the_text_is_undone_and_done_again(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.stream(40)
    listener.until(lambda p: p.length == 40 and not p.running)
    first = listener.line
    changes: list[tuple[str, Callable[[], object]]] = [
        ("moving", lambda: player.move_to(20)),
        ("choosing", lambda: player.choose("a" if first[20] != "a" else "b", 20)),
        ("typing", lambda: player.insert("own", 5)),
        ("switching branches", lambda: player.switch_branch(0)),
        ("pruning", lambda: player.prune_branch(1)),
        ("regenerating", lambda: player.regenerate(30)),
    ]
    seen: list[tuple[str, int]] = []

    def facts() -> tuple[str, int]:
        assert listener.state is not None
        return listener.line, listener.state.position

    for kind, change in changes:
        seen.append(facts())
        change()
        listener.until(lambda p, kind=kind: p.undoable == kind and not p.running)  # type: ignore[misc]
    seen.append(facts())
    for place in reversed(range(len(changes))):
        player.undo()
        listener.until(lambda p, place=place: p.note == f"Undone: {changes[place][0]}.")  # type: ignore[misc]
        assert facts() == seen[place]
    for place in range(len(changes)):
        player.redo()
        listener.until(lambda p, place=place: p.note == f"Done again: {changes[place][0]}.")  # type: ignore[misc]
        assert facts() == seen[place + 1]


def test_rolling_again_leaves_the_line_at_the_cursor(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(60)
    listener.until(lambda p: p.length == 60 and not p.running)
    first = listener.line
    listener.player.regenerate(30)
    listener.until(lambda p: p.length > 60 and not p.running)
    assert listener.line[:30] == first[:30]
    assert listener.line[:60] != first


def test_own_text_goes_in_and_what_is_unknown_is_named(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), prime="Ωne", speed=FULL))
    state = listener.until(lambda p: p.distribution is not None)
    assert (state.prime, state.unknown) == ("ne", ("Ω",))
    listener.player.insert("hi你!", 0)
    state = listener.until(lambda p: p.length == 3)
    assert listener.line == "hi!"
    assert "你" in state.note
    assert not state.failure
    listener.player.insert_at_cursor("“I’m”—")
    state = listener.until(lambda p: p.length == 10)
    assert listener.line == 'hi!"I\'m"--'
    assert state.note == 'Typographic marks that the model has never seen: “ as ", ” as ", ’ as \', — as --.'


def test_walking_shows_what_could_have_come(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(100)
    listener.until(lambda p: p.length == 100 and not p.running)
    listener.player.move_to(42)
    state = listener.until(lambda p: p.position == 42)
    assert state.current_char == listener.line[42]
    assert state.length == 100
    listener.player.generate_one()
    listener.until(lambda p: p.length == 101 and p.position == 101)


def test_a_model_with_huge_weights_is_one_sentence(tmp_path: Path, listener: Listener) -> None:
    model = tiny_model(prime="The morning")
    path = tmp_path / "huge.safetensors"
    save_model(path, replace(model, weights={name: 3e38 * np.sign(array) for name, array in model.weights.items()}))
    listener.player.load(PlayRequest(str(path), stream=True))
    state = listener.until(lambda p: bool(p.error))
    assert "predictions are not finite" in state.error


def test_a_model_that_cannot_be_read_is_one_sentence(tmp_path: Path, listener: Listener) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x00" * 100)
    listener.player.load(PlayRequest(str(broken), stream=True))
    state = listener.until(lambda p: bool(p.error))
    assert str(broken) in state.error
    assert "\n" not in state.error
    listener.player.stream()  # nothing to play: nothing happens


def test_a_run_has_ages_and_without_a_best_its_last_snapshot_is_played(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished", steps=200).run
    listener.player.load(PlayRequest(str(run.path), step=50))
    state = listener.until(lambda p: p.facts is not None and p.distribution is not None)
    assert state.facts is not None
    assert (state.facts.step, state.facts.snapshot_steps) == (50, (0, 50, 100, 200))
    run.model_path.unlink()
    listener.player.load(PlayRequest(str(run.path)))
    listener.until(lambda p: p.facts is not None and p.facts.step == 200 and p.distribution is not None)


def test_a_screen_that_does_not_collect_gets_few_messages(model: Path) -> None:
    told: list[float] = []
    player = Player(lambda: told.append(time.monotonic()))
    player.start()
    try:
        player.load(PlayRequest(str(model), speed=FULL))
        player.stream(5000)
        deadline = time.monotonic() + 60
        made = 0
        while made < 5000 and time.monotonic() < deadline:
            before = len(told)
            threading.Event().wait(0.05)
            assert len(told) <= before + 1
            made = max([made, *(state.length for state in player.collect())])
        assert made == 5000
    finally:
        player.close()
    assert not player.alive


def test_states_come_at_most_twenty_times_a_second(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=500))
    begin = time.monotonic()
    listener.player.stream(250)
    listener.until(lambda p: p.length == 250 and not p.running)
    assert listener.seen <= 21 * (time.monotonic() - begin) + 4


def test_text_behind_another_mode_is_generated_when_the_mode_is_shown_again(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=200))
    listener.until(lambda p: p.distribution is not None)
    listener.player.set_visible(False)
    listener.player.stream(500)
    begin = time.monotonic()
    with pytest.raises(AssertionError, match="not within"):
        listener.until(lambda p: p.length > 20, 1.0)
    shown = time.monotonic()
    listener.player.set_visible(True)
    length = listener.until(lambda p: p.length >= 200).length
    assert length - 200 * (time.monotonic() - shown) > 100  # those that became due behind the other mode come at once
    listener.until(lambda p: p.length == 500 and not p.running)
    assert time.monotonic() - begin > 2.3  # and the rest is no faster than asked


def test_a_model_slower_than_its_pace_does_not_wait_for_states(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Session.step
    monkeypatch.setattr(Session, "step", lambda self: (time.sleep(0.01), step(self))[1])
    listener.player.load(PlayRequest(str(model), speed=500))
    listener.until(lambda p: p.distribution is not None)
    monkeypatch.setattr(thread, "STATE_INTERVAL", 1.0)
    listener.player.stream(100)
    # A slice between two of the rare states has space for one such character: that would take minutes.
    listener.until(lambda p: p.length == 100 and not p.running)


def test_ends_at_once_while_streaming(model: Path) -> None:
    player = Player(lambda: None)
    player.start()
    player.load(PlayRequest(str(model), speed=FULL))
    player.stream(10**9)
    begin = time.monotonic()
    player.close()
    assert not player.alive
    assert time.monotonic() - begin < 2


def test_a_session_saves_itself_at_the_end_and_is_gone_on_with(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL, settings=SamplerSettings(temperature=0.5)))
    listener.player.stream(30)
    keep = listener.until(lambda p: p.length == 30 and not p.running).file
    listener.player.choose("x", 10)
    listener.until(lambda p: p.length == 11)
    line = listener.line
    listener.player.close()
    assert keep is not None
    assert keep.is_file()
    again = Listener()
    try:
        again.player.load(PlayRequest(str(model), session=keep))
        state = again.until(lambda p: p.length == 11)
        assert again.line == line
        assert state.settings.temperature == 0.5
        assert len(state.branches) == 2
    finally:
        again.player.close()


def test_what_a_person_made_of_a_session_stays_when_the_prime_is_played_anew(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(30)
    untouched = listener.until(lambda p: p.length == 30 and not p.running).file
    listener.player.load(PlayRequest(str(model), prime="Again", speed=FULL))
    listener.player.stream(30)
    same = listener.until(lambda p: p.prime == "Again" and p.length == 30 and not p.running).file
    assert same == untouched  # no difference to miss
    listener.player.choose("x", 10)
    listener.until(lambda p: bool(p.branches))
    listener.player.load(PlayRequest(str(model), prime="A third", speed=FULL))
    listener.player.stream(30)
    other = listener.until(lambda p: p.prime == "A third" and p.length == 30 and not p.running).file
    listener.player.close()
    assert same is not None
    assert other is not None
    assert other != same
    kept = load_session(same, load_model(model))
    assert kept.prime == "Again"
    assert len(kept.branches()) == 2


def test_a_run_that_was_deleted_does_not_come_back(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished").run
    listener.player.load(PlayRequest(str(run.path), speed=FULL))
    listener.player.stream(30)
    listener.until(lambda p: p.length == 30 and not p.running)
    delete_run(run)
    listener.player.stream(30)
    listener.until(lambda p: p.length == 60 and not p.running)
    listener.player.close()
    assert not run.path.exists()


def test_failed_save_is_said_until_it_succeeds(
    model: Path, own_home: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_writer, "FIRST_PAUSE", 0.05)
    (own_home / ".local").write_text("in the way")
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(10)
    state = listener.until(lambda p: "cannot be saved" in p.not_saved)
    listener.player.stream(10)
    assert listener.until(lambda p: p.length == 20 and not p.running).not_saved == state.not_saved
    listener.player.move_to(5)
    assert listener.until(lambda p: p.position == 5).not_saved == state.not_saved
    (own_home / ".local").unlink()
    listener.until(lambda p: not p.not_saved)
    listener.player.insert_at_cursor("own")
    state = listener.until(lambda p: p.length == 23)
    assert listener.player.close(60)
    assert listener.player.rescue() == []
    assert state.file is not None
    assert load_session(state.file, load_model(model)).read() == listener.line


def test_late_failure_of_one_session_leaves_the_saving_of_another(
    tmp_path: Path, model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first session cannot be written while the second is played; it is tried again, and kept at the end."""
    run = record(tmp_path, "finished").run
    monkeypatch.setattr(session_writer, "FIRST_PAUSE", 0.05)
    run.sessions_dir.write_text("in the way")
    listener.player.load(PlayRequest(str(run.path), speed=FULL))
    listener.player.insert_at_cursor("first")
    listener.until(lambda p: p.length == 5)
    listener.player.load(PlayRequest(str(model), prime="The", speed=FULL))
    listener.until(lambda p: p.prime == "The" and bool(p.not_saved))
    listener.player.insert_at_cursor("second")
    second = listener.until(lambda p: p.length == 6)
    assert listener.player.close(60)
    assert second.file is not None
    assert load_session(second.file, load_model(model)).read() == "second"
    (sentence,) = listener.player.rescue()
    assert sentence.startswith(f"The session cannot be saved to {home(run.sessions_dir)}")
    (kept,) = (state_dir() / "sessions" / "unsaved").glob("auto-*.json")
    assert home(kept) in sentence
    assert load_session(kept, load_model(run.model_path)).read() == "first"


def test_what_can_be_saved_nowhere_is_said_at_the_end(model: Path, own_home: Path, listener: Listener) -> None:
    (own_home / ".local").write_text("in the way")
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.insert_at_cursor("own")
    listener.until(lambda p: p.length == 3)
    assert listener.player.close(60)
    (sentence,) = listener.player.rescue()
    assert "cannot be saved" in sentence
    assert sentence.endswith("Its latest changes are lost.")


def test_session_follows_its_run_through_a_rename(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished").run
    player = listener.player
    player.load(PlayRequest(str(run.path), speed=FULL))
    player.insert_at_cursor("first ")
    listener.saved(6)
    renamed = rename_run(run, "renamed")
    assert record(tmp_path, "finished").run == run  # another one, which has its name now
    player.insert_at_cursor("second")
    state = listener.until(lambda p: any("renamed" in note for note in listener.notes))
    assert state.file is not None
    assert state.file.parent == renamed.sessions_dir
    assert state.facts is not None
    assert (state.facts.run, state.facts.name) == (renamed.path, "renamed")
    player.insert_at_cursor(" third")
    listener.until(lambda p: p.length == 18)
    assert player.close(60)
    (file,) = renamed.sessions_dir.iterdir()
    assert file == state.file == player.file
    assert load_session(file, load_model(renamed.model_path)).read() == "first second third"
    assert not run.sessions_dir.exists()


def test_session_follows_a_run_that_gets_its_old_name_again(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished").run
    listener.player.load(PlayRequest(str(run.path), speed=FULL))
    listener.player.insert_at_cursor("a")
    first = listener.saved(1)
    for number, name in enumerate(("one", run.name, "two", "one", run.name), 2):
        renamed = rename_run(Run(next(tmp_path.glob("*/run.json")).parent), name)
        listener.player.insert_at_cursor("b")
        listener.until(
            lambda p, number=number, place=renamed.sessions_dir: (  # type: ignore[misc]
                p.length == number and p.file is not None and p.file.parent == place
            )
        )
        listener.saved(number)
    assert listener.player.file == first.file
    assert len(list(run.sessions_dir.iterdir())) == 1


def test_session_that_is_opened_again_leaves_what_could_not_be_saved_of_it(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_writer, "FIRST_PAUSE", 0.05)
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.insert_at_cursor("first")
    file = listener.saved(5).file
    assert file is not None
    with storage.use_disk(FaultyDisk(0, only=frozenset({"rename", "link"}), again=True)):
        player.insert_at_cursor(" second")
        listener.until(lambda p: bool(p.not_saved))
        player.load(PlayRequest(str(model), session=file))
        listener.until(lambda p: p.length == 5 and p.opened is not None)
    player.insert_at_cursor(" third")
    listener.until(lambda p: p.length == 11 and not p.not_saved)
    assert player.close(60)
    texts = {load_session(each, load_model(model)).read() for each in file.parent.glob("*.json")}
    assert texts == {"first second", "first third"}


def test_session_that_undo_goes_back_to_follows_its_run_too(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished").run
    player = listener.player
    player.load(PlayRequest(str(run.path), speed=FULL))
    player.insert_at_cursor("first")
    listener.until(lambda p: p.length == 5)
    player.load(PlayRequest(str(run.path), prime="The", speed=FULL))
    player.insert_at_cursor("second")
    listener.until(lambda p: p.prime == "The" and p.length == 6)
    renamed = rename_run(run, "renamed")
    player.insert_at_cursor(" third")
    listener.until(lambda p: any("renamed" in note for note in listener.notes))
    for _ in range(3):
        player.undo()
    listener.until(lambda p: p.length == 5)
    player.insert_at_cursor("fourth")
    listener.until(lambda p: p.length == 11)
    assert player.close(60)
    model = load_model(renamed.model_path)
    texts = {load_session(file, model).read() for file in renamed.sessions_dir.iterdir()}
    assert "firstfourth" in texts
    assert not run.path.exists()


def test_session_of_a_deleted_run_is_kept_elsewhere(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished").run
    model = load_model(run.model_path)
    listener.player.load(PlayRequest(str(run.path), speed=FULL))
    listener.player.insert_at_cursor("first")
    listener.saved(5)
    delete_run(run)
    listener.player.insert_at_cursor("second")
    state = listener.until(lambda p: any("is gone" in note for note in listener.notes))
    assert state.file is not None
    assert home(state.file.parent) in " ".join(listener.notes)
    listener.player.insert_at_cursor("third")
    listener.until(lambda p: p.length == 16)
    assert listener.player.close(60)
    assert load_session(state.file, model).read() == "firstsecondthird"
    assert not run.path.exists()


def test_a_long_prime_says_how_far_it_is_and_can_be_stopped(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "PROGRESS_AFTER", 0.0)
    long, reading = "The morning and the sea. " * 20_000, HeldReading(monkeypatch)
    reading.hold()
    listener.player.load(PlayRequest(str(model), prime=long))
    assert "16,384 characters" in listener.until(lambda p: "Reading the prime" in p.busy).busy
    listener.player.cancel()
    reading.go_on()
    stopped = listener.until(lambda p: bool(p.error))
    assert "Stopped reading" in stopped.error
    assert stopped.facts is not None
    listener.player.load(PlayRequest(str(model), prime="Now"))
    listener.until(lambda p: p.prime == "Now" and not p.error)
    reading.hold()
    listener.player.load(PlayRequest(str(model), prime=long, stream=True))
    listener.until(lambda p: "Reading the prime" in p.busy)
    listener.player.cancel()
    reading.go_on()
    state = listener.until(lambda p: "Stopped reading" in p.failure)
    assert (state.prime, state.request.prime, state.running) == ("Now", "Now", False)  # what was played before


def test_a_newer_wish_ends_the_reading_of_a_long_prime(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), prime="The morning and the sea. " * 20_000))
    listener.player.load(PlayRequest(str(model), prime="Now"))
    listener.until(lambda p: p.prime == "Now")


def test_moves_are_quick_while_a_long_text_is_read_again_and_the_rest_waits_in_its_order(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    player, held = listener.player, threading.Event()
    put_back = Session.put_back

    def wait_and_put_back(session: Session, rows: Rows) -> None:
        held.wait(0.01)
        put_back(session, rows)

    monkeypatch.setattr(Session, "put_back", wait_and_put_back)
    monkeypatch.setattr(playback, "READING_SHOWN", 0.0)
    monkeypatch.setattr(thread, "READING_STATES", 0.02)
    player.load(PlayRequest(str(model), speed=FULL))
    player.insert_at_cursor("the light was on the stairs " * 100)
    listener.until(lambda p: p.length == 2800)
    player.set_writing(True)
    player.move_to(4)
    player.insert_at_cursor("x")
    player.set_writing(False)  # from now on what follows is read
    state = listener.until(lambda p: "left 0:" in p.reading)
    assert (state.position, state.length) == (5, 2801)
    player.move_to(2)
    assert listener.until(lambda p: p.position == 2).reading
    player.move_to(2000)
    player.move_to(2500)
    state = listener.until(lambda p: p.position == 2500)
    assert state.reading
    assert state.distribution is not None
    assert not state.distribution.alternatives  # not those of another position
    player.move_by(-1)
    player.insert("own", 2100)
    player.choose("a", 2103)
    assert listener.until(lambda p: bool(p.reading)).length == 2801
    held.set()
    state = listener.until(lambda p: p.length == 2104)
    expected = "the xlight was on the stairs " + "the light was on the stairs " * 99
    assert listener.line == expected[:2100] + "owna"
    assert not state.reading
    assert state.distribution is not None
    assert state.distribution.alternatives
    for length in (2103, 2801):
        player.undo()
        listener.until(lambda p, length=length: p.length == length)  # type: ignore[misc]
    assert listener.line == expected
    fresh = Session(tiny_model(), "The morning")
    fresh.type(expected)
    assert np.array_equal(listener.marks, marks(fresh.rows()))


def test_what_was_typed_before_write_is_left_is_not_lost(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model)))
    listener.until(lambda p: p.distribution is not None)
    listener.player.set_writing(True)
    for char in "abc":
        listener.player.insert_at_cursor(char)
    listener.player.cancel()
    listener.player.set_writing(False)
    listener.until(lambda p: p.length == 3)
    assert listener.line == "abc"


def test_a_long_text_comes_in_bit_by_bit_and_can_be_stopped(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model)))
    listener.until(lambda p: p.distribution is not None)
    text = "the light was on the stairs " * 3000
    listener.player.insert_at_cursor(text)
    listener.until(lambda p: 0 < p.length < len(text))
    listener.player.cancel()
    state = listener.until(lambda p: "Stopped after" in p.failure)
    assert listener.line == text[: state.length]
    assert state.length % editor.CHUNK == 0


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
    streams = [saved(automatic(place, age), age, 68) for age in range(4)]
    stories = [saved(automatic(place, 10 + age), 100 + age, 68, edited=True) for age in range(4)]
    mine = [saved(place / name, 1e6, 10) for name in ("mine.json", "auto-mine.json", "auto-20261127-203000 old.json")]
    saved_sessions.forget_old(place)
    assert set(place.iterdir()) == {*streams[:2], *stories[:3], *mine}


def automatic(place: Path, number: int) -> Path:
    """A name that the app gives."""
    return place / f"auto-20261127-203000-{number}.json"


def test_wrong_clock_deletes_no_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_sessions, "MOST_AUTO", 3)
    place = tmp_path / "sessions"
    later = [saved(automatic(place, n), -1000 - n, 68, edited=True) for n in range(4)]
    long_ago = [saved(automatic(place, 10 + n), time.time() - n, 68, edited=True) for n in range(4)]
    written = saved(automatic(place, 20), 5000, 68, edited=True)
    others = [saved(automatic(place, 30 + n), n, 68, edited=True) for n in range(4)]
    saved_sessions.forget_old(place, {written})
    assert set(place.iterdir()) == {*later, *long_ago, written, *others[:2]}
    used = {written, *others, *later, *long_ago}
    monkeypatch.setattr(saved_sessions, "MOST_AUTO", 1)
    saved_sessions.forget_old(place, used)
    assert set(place.iterdir()) == {*later, *long_ago, written, *others[:2]}


def test_session_that_is_saved_while_others_are_dated_later_stays(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_sessions, "MOST_AUTO", 3)
    place = saved_sessions.folder(None, model)
    place.parent.mkdir(parents=True)
    later = [saved(automatic(place, n), -1000 - n, 68, edited=True) for n in range(3)]
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.insert_at_cursor("own")
    state = listener.until(lambda p: p.length == 3)
    listener.player.close()
    assert state.file is not None
    assert set(place.iterdir()) == {*later, state.file}


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
    assert saved_sessions.is_own(path, tmp_path) == own
    assert saved_sessions.is_automatic(saved_sessions.new_name(tmp_path))


def test_last_session_is_the_newest_with_work_in_it(tmp_path: Path) -> None:
    place = tmp_path / "sessions"

    def last(opened: Path | None = None, closed: SavedSession | None = None) -> Path | None:
        found = saved_sessions.last(place, automatic(place, 0), opened, closed)
        return None if found is None else found.path

    saved(automatic(place, 0), 0, 5000)
    saved(automatic(place, 1), 1, 0, edited=True)
    assert last() is None
    stream = saved(automatic(place, 2), 2, 68)
    (automatic(place, 3)).write_text("{}")
    assert last() == stream
    story = saved(automatic(place, 4), 4, 68, edited=True)
    assert last() == story
    long = saved(automatic(place, 5), 3, 1500)
    assert last() == long
    named = saved(place / "mine.json", 10, 100, edited=True)
    newer = saved(automatic(place, 6), 5, 100, edited=True, continues=str(named))
    assert last(opened=named) == newer
    os.utime(named)
    assert last(opened=named) == named
    closed = SavedSession(automatic(place, 7), time.time(), saving.SessionSummary(10, "", True))
    assert last(closed=closed) == closed.path


def test_undo_goes_back_to_the_text_before_another_prime_and_redo_on_again(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.stream(30)
    listener.until(lambda p: p.length == 30 and not p.running)
    player.choose("x", 10)
    story = listener.until(lambda p: p.length == 11)
    line = listener.line
    player.load(PlayRequest(str(model), prime="e", speed=FULL, stream=True))
    other = listener.until(lambda p: p.prime == "e" and p.length > 30)
    assert story.replaced is None
    assert other.file != story.file  # in the same second
    assert other.replaced is not None
    assert (other.replaced.path, other.replaced.length) == (story.file, 11)
    assert other.last_session == other.replaced
    player.undo()
    back = listener.until(lambda p: p.prime == story.prime)
    assert (listener.line, back.file, back.undoable) == (line, story.file, "choosing")
    assert "text before is back: 11 chars" in back.note
    player.redo()
    later = listener.until(lambda p: p.prime == "e")
    assert later.file == other.file
    player.undo()
    listener.until(lambda p: p.prime == story.prime)
    player.choose("y", 5)
    assert not listener.until(lambda p: p.length == 6).redoable  # as after any change
    player.load(PlayRequest(str(model), session=story.file))  # before it is written
    again = listener.until(lambda p: p.request.session is not None)
    assert again.length == 6
    player.undo()
    assert listener.until(lambda p: p.request.session is None).length == 6


def test_text_without_work_in_it_that_undo_goes_back_to_leaves_the_other_ones_file(
    model: Path, listener: Listener
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.stream(30)
    listener.until(lambda p: p.length == 30 and not p.running)
    player.load(PlayRequest(str(model), prime="e"))
    listener.until(lambda p: p.prime == "e")
    player.insert("x", 0)
    story = listener.until(lambda p: p.length == 1)
    player.undo()
    player.undo()
    back = listener.until(lambda p: p.prime != "e")
    assert back.file != story.file
    assert back.length == 30
    player.close()
    assert story.file is not None
    assert saving.read_summary(story.file).edited


@pytest.mark.parametrize("method", ["step", "next_char_distribution", "rewind"])
def test_player_shows_and_logs_an_unexpected_error_and_plays_on(
    method: str, model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, unexpected_errors: deque[str]
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("bad luck")

    listener.player.load(PlayRequest(str(model), speed=60, stream=True))
    listener.until(lambda p: p.running)
    with monkeypatch.context() as patch:
        patch.setattr(Session, method, fail)
        listener.player.move_to(0)
        if method == "step":
            listener.player.stream()
        state = listener.until(lambda p: bool(p.error))
    assert "ValueError: bad luck" in state.error
    assert not state.running
    assert "ValueError: bad luck" in unexpected_errors[0]
    listener.player.load(PlayRequest(str(model), stream=True))
    listener.until(lambda p: p.length > 5 and not p.error)


def test_player_survives_an_error_outside_all_sessions(model: Path, unexpected_errors: deque[str]) -> None:
    failures = iter([True])
    delivered = threading.Event()

    def deliver() -> None:
        if next(failures, False):
            raise RuntimeError("bad luck")
        delivered.set()

    player = Player(deliver)
    player.start()
    try:
        player.load(PlayRequest(str(model), speed=FULL))
        end = time.monotonic() + 60
        while not unexpected_errors and time.monotonic() < end:
            time.sleep(0.01)
        player.collect()
        player.stream(10)
        assert delivered.wait(60)
    finally:
        player.close()


def test_player_carries_out_every_command_however_many_wait(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(10)
    listener.until(lambda p: p.length == 10 and not p.running)
    release, calls = threading.Event(), []
    listener.player.change_settings(lambda settings: (release.wait(10), settings)[1])
    for number in range(500):
        listener.player.change_settings(lambda settings, number=number: (calls.append(number), settings)[1])  # type: ignore[misc]
    listener.player.load(PlayRequest(str(model), prime="At last"))
    release.set()
    listener.until(lambda p: p.prime == "At last")
    assert calls == list(range(500))


def test_moves_of_the_cursor_do_not_pile_up(model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(600)
    listener.until(lambda p: p.length == 600 and not p.running)
    positions: list[int] = []
    rewind = Session.rewind
    monkeypatch.setattr(Session, "rewind", lambda self, position: (positions.append(position), rewind(self, position)))
    release = threading.Event()
    listener.player.change_settings(lambda settings: (release.wait(10), settings)[1])
    for position in range(600, 100, -1):
        listener.player.move_to(position)
    release.set()
    listener.until(lambda p: p.position == 101)
    assert positions == [101]


def test_a_slow_disk_holds_up_neither_commands_nor_the_end(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, writing = threading.Event(), threading.Event()
    monkeypatch.setattr("charlstm.storage.replace_file", lambda *_, **__: (writing.set(), release.wait(10)))
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(10)
    assert writing.wait(10)
    listener.until(lambda p: p.length == 10 and not p.running)
    begin = time.monotonic()
    listener.player.move_to(5)
    listener.until(lambda p: p.position == 5)
    assert time.monotonic() - begin < 2
    begin = time.monotonic()
    listener.player.close(0.5)
    assert time.monotonic() - begin < 2
    release.set()


def test_playbacks_of_one_file_share_the_model_until_the_file_changes(model: Path, listener: Listener) -> None:
    player = listener.player
    for number in (0, 1, 2):
        player.load(PlayRequest(str(model)), number)
    deadline = time.monotonic() + 60
    while player.model(2) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert player.model(0) is player.model(1) is player.model(2) is not None
    save_model(model, tiny_model(seed=1, prime="The morning"))
    player.load(PlayRequest(str(model)), 2)
    while player.model(2) is player.model(0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert player.model(2) is not player.model(0)


def test_a_request_without_settings_and_speed_leaves_them_as_they_are(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=250))
    listener.player.change_settings(lambda settings: replace(settings, temperature=0.5))
    listener.player.change_settings(lambda settings: replace(settings, temperature=settings.temperature + 0.1))
    listener.player.change_speed(lambda speed: speed * 2)
    listener.player.load(PlayRequest(str(model), prime="Again"))
    state = listener.until(lambda p: p.prime == "Again")
    assert (state.settings.temperature, state.speed) == (0.6, 500)


def test_a_change_of_settings_is_shown_at_once(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.until(lambda p: p.distribution is not None)
    monkeypatch.setattr(thread, "STATE_INTERVAL", 5.0)
    listener.player.change_settings(lambda settings: replace(settings, temperature=0.3))
    listener.until(lambda p: p.settings.temperature == 0.3, seconds=3)


def test_saving_under_a_name_is_not_done_on_the_players_thread(
    model: Path, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, writing, save = threading.Event(), threading.Event(), user_files.save

    def slow(*arguments: Any, **options: Any) -> None:
        writing.set()
        release.wait(10)
        save(*arguments, **options)

    monkeypatch.setattr(user_files, "save", slow)
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.stream(10)
    listener.until(lambda p: p.length == 10 and not p.running)
    path = tmp_path / "mine.json"
    listener.player.save_as(path, None)
    assert writing.wait(10)
    listener.player.move_to(5)
    listener.until(lambda p: p.position == 5)
    assert not path.exists()
    release.set()
    listener.until(lambda p: p.note == f"Saved as mine.json in {home(tmp_path)}")
    assert len(load_session(path, load_model(model))) == 10
    listener.player.save_as(tmp_path, None)
    listener.until(lambda p: "is a folder" in p.failure)


def test_change_that_fails_leaves_what_can_be_done_again(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.stream(40)
    listener.until(lambda p: p.length == 40 and not p.running)
    text = listener.line
    player.insert("own", 5)
    listener.until(lambda p: p.length == 8)
    player.undo()
    listener.until(lambda p: p.redoable == "typing")
    for fail in (
        lambda: player.switch_branch(99),
        lambda: player.prune_branch(99),
        lambda: player.choose("a你", 10),
        lambda: player.replace(10, 4, "a"),
    ):
        fail()
        state = listener.until(lambda p: bool(p.failure))
        assert (state.redoable, listener.line, len(state.branches)) == ("typing", text, 2)
        player.change_speed(lambda speed: FULL)
        player.move_by(0)
        listener.until(lambda p: not p.failure)
    player.redo()
    listener.until(lambda p: p.length == 8)


@pytest.mark.parametrize("settings", [SamplerSettings(temperature=0.3), SamplerSettings(top_k=2, temperature=0.2)])
def test_regenerating_changes_the_text_and_is_undone_with_its_seed(
    model: Path, listener: Listener, settings: SamplerSettings
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL, settings=settings, seed=3))
    player.stream(60)
    listener.until(lambda p: p.length == 60 and not p.running)
    text = listener.line
    player.change_speed(lambda speed: 0)
    for position in range(0, 60, 2):
        player.regenerate(position)
        listener.until(lambda p: p.undoable == "regenerating")
        assert listener.line[:position] == text[:position]
        assert listener.line != text[: len(listener.line)], position
        assert played_session(player).seed != 3
        player.undo()
        listener.until(lambda p: p.redoable == "regenerating")
        assert (listener.line, played_session(player).seed) == (text, 3)
    player.redo()
    listener.until(lambda p: p.undoable == "regenerating")
    assert played_session(player).seed != 3


def played_session(player: Player) -> Session:
    session = player._playbacks[0].session
    assert session is not None
    return session


def test_regenerating_says_where_nothing_else_can_be_drawn(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL, settings=SamplerSettings(temperature=0)))
    player.stream(60)
    listener.until(lambda p: p.length == 60 and not p.running)
    text = listener.line
    player.regenerate(20)
    state = listener.until(lambda p: bool(p.failure))
    assert "writes the same again" in state.failure
    assert (listener.line, state.running, played_session(player).seed) == (text, False, 0)
    player.change_settings(lambda settings: replace(settings, temperature=1.0))
    player.regenerate(20)
    listener.until(lambda p: p.length > 60 and not p.running)
    assert listener.line[:20] == text[:20]
    assert listener.line[:60] != text


@pytest.mark.parametrize("method", ["step", "next_char_distribution", "rewind"])
def test_words_before_an_unexpected_error_are_saved(
    method: str, model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, unexpected_errors: deque[str]
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("bad luck")

    monkeypatch.setattr(thread, "SAVE_INTERVAL", 1000.0)
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.insert_at_cursor("first")
    file = listener.saved(5).file
    player.insert_at_cursor(" second")
    listener.until(lambda p: p.length == 12)
    with monkeypatch.context() as patch:
        patch.setattr(Session, method, fail)
        if method == "rewind":
            player.move_to(0)
        player.stream()
        listener.until(lambda p: bool(p.error))
    assert unexpected_errors
    player.close(60)
    assert file is not None
    assert load_session(file, load_model(model)).read().startswith("first second")
