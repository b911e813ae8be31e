"""The generation thread by itself: what it tells, in what order, and that it ends."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from charlstm import storage, user_files
from charlstm.generation import session_file
from charlstm.generation.clamp import Clamp
from charlstm.generation.reading import Reading
from charlstm.generation.rows import NextCharDistribution
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.session_file import load_session
from charlstm.generation.stepper import Stepper
from charlstm.model.file import load_model, save_model
from charlstm.paths import state_dir
from charlstm.runs.folder import Run, delete_run, rename_run
from charlstm.text.corpus import line_numbers, open_corpus
from charlstm.text.reading import TextOptions
from charlstm.text.sentences import sentence_ends
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.background import Cancelled
from charlstm_tui.formatting import home
from charlstm_tui.generate import text_picker
from charlstm_tui.main import command
from charlstm_tui.player import operations, playback, saved_sessions, session_saver, thread
from charlstm_tui.player.marks import Origin, pack
from charlstm_tui.player.overlap import LineIndex, OverlapCheck
from charlstm_tui.player.playback import PAUSE_AFTER, LearntModel, SeenPosition
from charlstm_tui.player.reader import Reader
from charlstm_tui.player.saved_sessions import SavedSession
from charlstm_tui.player.state import FULL, PlaybackState, PlayRequest
from charlstm_tui.player.thread import Player
from playing_app import PRIME, HeldReading, at
from recorded_run import record, tiny_model
from wrapped_prose import prose


class Listener:
    """Puts the states together as a screen does."""

    def __init__(self) -> None:
        self.news = threading.Event()
        self.player = Player(self.news.set)
        self.player.start()
        self.text = ""
        self.all_marks: list[int] = []
        self.notes: list[str] = []
        self.state: PlaybackState | None = None
        self.seen = 0

    @property
    def prime(self) -> str:
        return self.text[: len(self.text) if self.state is None else self.state.prime_length]

    @property
    def line(self) -> str:
        """The text after the prime."""
        return self.text[len(self.prime) :]

    @property
    def marks(self) -> list[int]:
        return self.all_marks[len(self.prime) :]

    def saved(self, length: int) -> PlaybackState:
        """Wait until a text of so many characters is saved."""
        state = self.until(lambda p: p.length == length and p.file is not None)
        deadline = time.monotonic() + 60
        while any(self.player._is_unsaved(playback) for playback in self.player._playbacks.values()):
            assert time.monotonic() < deadline, "it was not given to the saver"
            time.sleep(0.005)
        given = threading.Event()
        self.player._put(given.set)  # which it carries out when it has given it
        assert given.wait(60)
        assert self.player._saver.write_all(60)
        return state

    def until(self, condition: Callable[[PlaybackState], bool], seconds: float = 60) -> PlaybackState:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.state is not None and condition(self.state):
                return self.state
            self.news.wait(0.1)
            self.news.clear()
            for state in self.player.collect():
                if self.state is None or state.session_id != self.state.session_id:
                    self.text, self.all_marks = "", []
                assert state.start + state.removed <= len(self.text)
                self.text = self.text[: state.start] + state.text + self.text[state.start + state.removed :]
                self.all_marks[state.start : state.start + state.removed] = state.marks
                self.all_marks[state.figures_start : state.figures_start + len(state.figures)] = state.figures
                assert len(self.text) == state.size == len(self.all_marks)
                self.state = state
                self.seen += 1
                self.notes += [state.note] if state.note else []
        raise AssertionError(f"not within {seconds} s: {self.state}")


def close(player: Player) -> None:
    """Close as the app does: again and again until all is saved or cannot be. What cannot be is tried for the whole
    time of each call, so that is short."""
    deadline = time.monotonic() + 60
    while not player.close(0.1):
        assert time.monotonic() < deadline, "it does not end"


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


@pytest.fixture
def run_that_is_played(tmp_path: Path, listener: Listener) -> Run:
    """A run with snapshots after 0, 50, 100, 200, 400, 700 and 1,000 steps. Its best model is played, with a prime."""
    run = record(tmp_path, "finished").run
    listener.player.load(PlayRequest(str(run.path), prime="The", speed=FULL))
    listener.until(lambda p: p.distribution is not None)
    return run


def test_streams_a_thousand_and_pauses_and_goes_on(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL, stream=True))
    state = listener.until(lambda p: p.length == PAUSE_AFTER and not p.running)
    assert "1,000" in state.stop_reason
    assert listener.prime == "The morning"
    expected = Session(tiny_model(), "The morning")
    assert listener.line == "".join(step.char for step in expected.stream(PAUSE_AFTER))
    listener.player.do(operations.STREAM, 10)
    listener.until(lambda p: p.length == PAUSE_AFTER + 10 and not p.running)


def test_settings_act_on_the_next_character_and_the_line_stands(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.STREAM, 50)
    listener.until(lambda p: p.length == 50 and not p.running)
    stood = listener.line
    listener.player.change_settings(lambda settings: SamplerSettings(temperature=0))
    listener.player.do(operations.STREAM, 20)
    state = listener.until(lambda p: p.length == 70 and not p.running)
    assert listener.line[:50] == stood
    assert state.settings.temperature == 0
    assert state.distribution is not None
    assert state.distribution.kept == 1


def test_a_choice_branches_and_the_old_line_comes_back(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.STREAM, 40)
    listener.until(lambda p: p.length == 40 and not p.running)
    first = listener.line
    other = "a" if first[10] != "a" else "b"
    listener.player.do(operations.CHOOSE, other, at(10))
    state = listener.until(lambda p: p.length == 11)
    assert listener.line == first[:10] + other
    assert [branch.current for branch in state.branches] == [True, True]
    listener.player.do(operations.STREAM, 5)
    listener.until(lambda p: p.length == 16 and not p.running)
    listener.player.do(operations.SWITCH, 0)
    listener.until(lambda p: p.length == 40)
    assert listener.line == first


def test_every_change_of_the_text_is_undone_and_done_again(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.STREAM, 40)
    listener.until(lambda p: p.length == 40 and not p.running)
    first = listener.line
    changes: list[tuple[str, Callable[[], object]]] = [
        ("moving", lambda: player.do(operations.MOVE_TO, at(20))),
        ("choosing", lambda: player.do(operations.CHOOSE, "a" if first[20] != "a" else "b", at(20))),
        ("typing", lambda: player.do(operations.INSERT_AT, "own", at(5))),
        ("switching branches", lambda: player.do(operations.SWITCH, 0)),
        ("pruning", lambda: player.do(operations.PRUNE, 1)),
        ("regenerating", lambda: player.do(operations.REGENERATE, at(30))),
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
        player.do(operations.UNDO)
        listener.until(lambda p, place=place: p.note == f"Undone: {changes[place][0]}.")  # type: ignore[misc]
        assert facts() == seen[place]
    for place in range(len(changes)):
        player.do(operations.REDO)
        listener.until(lambda p, place=place: p.note == f"Done again: {changes[place][0]}.")  # type: ignore[misc]
        assert facts() == seen[place + 1]


def test_rolling_again_leaves_the_line_at_the_cursor(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.STREAM, 60)
    listener.until(lambda p: p.length == 60 and not p.running)
    first = listener.line
    listener.player.do(operations.REGENERATE, at(30))
    listener.until(lambda p: p.length > 60 and not p.running)
    assert listener.line[:30] == first[:30]
    assert listener.line[:60] != first


def test_own_text_goes_in_as_it_is(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), prime="Ωne", speed=FULL))
    state = listener.until(lambda p: p.distribution is not None)
    assert (listener.prime, state.note[:18]) == ("Ωne", "The model reads Ω ")
    listener.player.do(operations.INSERT_AT, "hi你!", SeenPosition(3, 0))
    state = listener.until(lambda p: p.length == 4)
    assert listener.line == "hi你!"
    assert "你" in state.note
    assert not state.failure
    listener.player.do(operations.INSERT, "“I’m”—\r\n\x07")
    state = listener.until(lambda p: p.length == 11)
    assert listener.line == "hi你!“I’m”—\n"
    assert state.note == 'The model reads “ as ", ’ as \', ” as ", — as -.'


def test_other_characters_that_are_asked_for_at_once_are_all_at_one_place(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=0))
    listener.until(lambda p: p.distribution is not None)
    release = hold(player)
    place = SeenPosition(len(PRIME), 0)
    for _ in range(3):
        player.do(operations.ALTERNATIVE, 1, place)
    release.set()
    state = listener.until(lambda p: p.done == player.asked[0] and len(p.branches) > 1)
    assert (state.position, len(state.branches)) == (len(PRIME), 3)


def test_what_a_model_of_plain_letters_does_not_know_is_read_plainly(tmp_path: Path, listener: Listener) -> None:
    path = tmp_path / "plain.safetensors"
    save_model(path, tiny_model(symbols=tuple("\n abcdefghijklmnopqrstuvwxyzC,'-")))
    listener.player.load(PlayRequest(str(path), prime="Œe né", speed=FULL))
    state = listener.until(lambda p: p.distribution is not None)
    assert (listener.prime, state.note) == ("Œe né", "The model reads Œ as a space, é as e.")
    listener.player.do(operations.SET_WRITING, True)
    listener.player.do(operations.INSERT, "Café, “quoth he” — and nai\u0308ve ☃Ω")
    state = listener.until(lambda p: p.length > 5)
    assert listener.line == "Café, “quoth he” — and naïve ☃Ω"
    assert state.note == "The model reads é as e, “ as ', ” as ', — as -, ï as i, ☃ as a space …."
    state = listener.until(lambda p: p.read_to == p.size and p.bits_per_char is not None)
    assert state.read_as == "Ω, read as a space"
    rows = [mark & 0b111 for mark in listener.marks]
    unknown = [place for place, char in enumerate(listener.line) if char in "é“”—ï☃Ω"]
    assert [place for place, level in enumerate(rows) if not level] == unknown  # their figures are another's
    listener.player.do(operations.MOVE_TO, SeenPosition(8, state.version))
    state = listener.until(lambda p: p.position == 8)
    assert (state.current_char, state.read_as) == ("é", "é, read as e")
    assert state.current_probability is not None


def test_pruning_says_what_is_gone_and_how_it_comes_back(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.until(lambda p: p.distribution is not None)
    listener.player.do(operations.INSERT_AT, "one two three", at(0))
    listener.player.do(operations.INSERT_AT, "six", at(4))
    listener.player.do(operations.INSERT_AT, "even", at(5))
    listener.player.do(operations.RENAME, 2, "the light speaks")
    listener.until(lambda p: len(p.branches) == 3)
    listener.player.do(operations.PRUNE, 2)
    state = listener.until(lambda p: len(p.branches) == 2)
    assert state.note == "Pruned branch “the light speaks” (4 characters): Ctrl+Z brings it back."
    listener.player.do(operations.UNDO)
    listener.until(lambda p: len(p.branches) == 3)
    listener.player.do(operations.PRUNE, 1)
    state = listener.until(lambda p: len(p.branches) == 1)
    assert state.note == "Pruned branch 1 (3 characters) and 1 that parted from it: Ctrl+Z brings them back."


def test_text_of_another_model_is_put_in_as_it_is(model: Path, listener: Listener) -> None:
    """As from a side of Duel."""
    listener.player.load(PlayRequest(str(model), prime="one", speed=FULL))
    listener.until(lambda p: p.distribution is not None)
    listener.player.do(operations.PUT_IN, " man’s 你 word")
    state = listener.until(lambda p: p.length > 0)
    assert listener.line == " man’s 你 word"
    assert "’ as '" in state.note
    assert "你" in state.note
    assert not state.failure


def test_what_was_cut_is_pasted_into_the_text_of_another_model(model: Path, listener: Listener, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_model(other, tiny_model(symbols=tuple(" \nabc你"), prime="abc"))
    listener.player.load(PlayRequest(str(other), prime="a你b", speed=FULL))
    listener.until(lambda p: p.distribution is not None)
    listener.player.do(operations.SET_WRITING, True)
    listener.player.do(operations.CUT, at(-len(PRIME)), at(3 - len(PRIME)))
    listener.until(lambda p: p.cut == "a你b")
    listener.player.load(PlayRequest(str(model), prime="one", speed=FULL))
    listener.until(lambda p: p.distribution is not None and p.facts is not None and p.facts.path == model)
    listener.player.do(operations.PASTE, "older", 0)
    state = listener.until(lambda p: p.length == 3)
    assert listener.line == "a你b"
    assert "你" in state.note


def test_walking_shows_what_could_have_come(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.STREAM, 100)
    listener.until(lambda p: p.length == 100 and not p.running)
    listener.player.do(operations.MOVE_TO, at(42))
    state = listener.until(lambda p: p.position == p.prime_length + 42)
    assert state.current_char == listener.line[42]
    assert state.length == 100
    listener.player.do(operations.GENERATE_ONE)
    listener.until(lambda p: p.length == 101 and p.position == p.prime_length + 101)


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
    listener.player.do(operations.STREAM, PAUSE_AFTER)  # nothing to play: nothing happens


def test_a_run_has_ages_and_without_a_best_its_last_snapshot_is_played(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished", steps=200).run
    listener.player.load(PlayRequest(str(run.path), step=50))
    state = listener.until(lambda p: p.facts is not None and p.distribution is not None)
    assert state.facts is not None
    assert (state.facts.step, state.facts.snapshot_steps) == (50, (0, 50, 100, 200))
    run.model_path.unlink()
    listener.player.load(PlayRequest(str(run.path)))
    listener.until(lambda p: p.facts is not None and p.facts.step == 200 and p.distribution is not None)


@pytest.mark.usefixtures("run_that_is_played")
def test_change_of_the_checkpoint_that_is_stopped_says_so(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise Cancelled("Stopped reading the prime.")

    monkeypatch.setattr(Player, "_open_new", stop)
    listener.player.load_checkpoint(-1)
    assert listener.until(lambda p: bool(p.error)).error == "Stopped reading the prime."


@pytest.mark.usefixtures("run_that_is_played")
def test_text_of_which_words_were_erased_stays_with_another_checkpoint(listener: Listener) -> None:
    player = listener.player
    player.do(operations.STREAM, 40)
    before = listener.until(lambda p: p.length == 40 and not p.running)
    player.do(operations.SET_WRITING, True)
    player.do(operations.ERASE, 10, 0)
    player.do(operations.SET_WRITING, False)
    listener.until(lambda p: p.length == 30)
    text = listener.line
    player.load_checkpoint(-1)
    listener.until(lambda p: p.session_id != before.session_id and p.distribution is not None)
    assert listener.line == text


@pytest.mark.usefixtures("run_that_is_played")
def test_cells_that_are_held_stay_so_with_another_checkpoint(listener: Listener) -> None:
    held = (Clamp(1, 1, value=1.0),)
    listener.player.do(operations.CHANGE_CLAMPS, lambda clamps: held)
    before = listener.until(lambda p: p.clamps == held)
    listener.player.load_checkpoint(-1)
    state = listener.until(lambda p: p.session_id != before.session_id and p.distribution is not None)
    assert (state.clamps, state.request.clamps) == (held, ())


def test_checkpoints_of_a_run_that_is_gone_leave_the_text(run_that_is_played: Run, listener: Listener) -> None:
    listener.player.do(operations.INSERT, "own")
    listener.until(lambda p: p.length == 3)
    delete_run(run_that_is_played)
    for direction in (-1, 1):
        listener.player.load_checkpoint(direction)
        state = listener.until(lambda p: p.done == listener.player.asked[0])
        assert (state.note, state.error, state.length) == ("The run has no checkpoints any more.", "", 3)


@pytest.mark.parametrize(("direction", "step"), [(-1, 400), (1, 700), (-2, 200), (2, 1000), (-9, 0), (9, 1000)])
def test_checkpoint_beside_a_model_that_is_none_any_more_is_the_next_one(
    direction: int, step: int, run_that_is_played: Run, listener: Listener
) -> None:
    """A best model that was superseded, for example."""
    before, facts = listener.state, listener.player._playbacks[0].facts
    assert before is not None
    assert facts is not None
    listener.player._playbacks[0].facts = replace(facts, step=450)
    listener.player.load_checkpoint(direction)
    state = listener.until(lambda p: p.session_id != before.session_id and p.distribution is not None)
    assert state.facts is not None
    assert state.facts.step == step


def test_lines_of_copied_passages_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "house.txt").write_text(prose(20), encoding="utf-8")
    corpus = open_corpus(tmp_path / "house.txt", TextOptions(lines="auto"))
    places = np.arange(0, corpus.chars, 37)
    lines = LineIndex(corpus)
    assert [lines.line(place) for place in places.tolist()] == line_numbers(corpus, places).tolist()
    assert lines.line(corpus.chars - 1) == prose(20).count("\n")


async def test_search_for_copied_passages_keeps_no_text_when_the_training_text_is_gone(tmp_path: Path) -> None:
    check = OverlapCheck(tmp_path / "gone", tmp_path / "gone.safetensors", 20)
    check.replace(0, 0, "before")
    await check.watch(lambda found: None)
    check.replace(6, 6, "after")
    assert not check._changes


def test_a_screen_that_does_not_collect_gets_few_messages(model: Path) -> None:
    told: list[float] = []
    player = Player(lambda: told.append(time.monotonic()))
    player.start()
    try:
        player.load(PlayRequest(str(model), speed=FULL))
        player.do(operations.STREAM, 5000)
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
    listener.player.do(operations.STREAM, 250)
    listener.until(lambda p: p.length == 250 and not p.running)
    assert listener.seen <= 21 * (time.monotonic() - begin) + 4


def test_text_behind_another_mode_is_generated_when_the_mode_is_shown_again(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead, time=time.time)
    for module in (thread, playback):
        monkeypatch.setattr(module, "time", clock)
    listener.player.load(PlayRequest(str(model), speed=2))
    listener.until(lambda p: p.distribution is not None)
    listener.player.set_visible(False)
    begin = time.monotonic()
    listener.player.do(operations.STREAM, 500)
    with pytest.raises(AssertionError, match="not within"):
        listener.until(lambda p: p.length > 1, 1.0)
    ahead = 200.0
    listener.player.set_visible(True)
    length = listener.until(lambda p: p.length >= 400).length  # what became due meanwhile comes at once
    assert length <= 2 * (ahead + time.monotonic() - begin) + 4  # and the rest is no faster than asked


def test_a_model_slower_than_its_pace_does_not_wait_for_states(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Reading.draw
    monkeypatch.setattr(Reading, "draw", lambda self: (time.sleep(0.01), draw(self))[1])
    listener.player.load(PlayRequest(str(model), speed=500))
    listener.until(lambda p: p.distribution is not None)
    monkeypatch.setattr(thread, "STATE_INTERVAL", 1.0)
    listener.player.do(operations.STREAM, 100)
    # A slice between two of the rare states has space for one such character: that would take minutes.
    listener.until(lambda p: p.length == 100 and not p.running)


def test_ends_at_once_while_streaming(model: Path) -> None:
    player = Player(lambda: None)
    player.start()
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.STREAM, 10**9)
    begin = time.monotonic()
    player.close()
    assert not player.alive
    assert time.monotonic() - begin < 2


def test_a_session_saves_itself_at_the_end_and_is_gone_on_with(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL, settings=SamplerSettings(temperature=0.5)))
    listener.player.do(operations.STREAM, 30)
    keep = listener.until(lambda p: p.length == 30 and not p.running and p.file is not None).file
    listener.player.do(operations.CHOOSE, "x", at(10))
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
    listener.player.do(operations.STREAM, 30)
    listener.until(lambda p: p.length == 30 and not p.running and p.file is not None)
    listener.player.load(PlayRequest(str(model), prime="Again", speed=FULL))
    listener.player.do(operations.STREAM, 30)
    listener.until(lambda p: listener.prime == "Again" and p.length == 30 and not p.running)
    same = listener.until(lambda p: p.file is not None).file
    listener.player.do(operations.CHOOSE, "x", at(10))
    listener.until(lambda p: bool(p.branches))
    listener.player.load(PlayRequest(str(model), prime="A third", speed=FULL))
    listener.player.do(operations.STREAM, 30)
    listener.until(lambda p: listener.prime == "A third" and p.length == 30 and not p.running)
    other = listener.until(lambda p: p.file is not None).file
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
    listener.player.do(operations.STREAM, 30)
    listener.until(lambda p: p.length == 30 and not p.running)
    delete_run(run)
    listener.player.do(operations.STREAM, 30)
    listener.until(lambda p: p.length == 60 and not p.running)
    listener.player.close()
    assert not run.path.exists()


def test_place_that_cannot_be_written_is_said_until_it_can(model: Path, own_home: Path, listener: Listener) -> None:
    (own_home / ".local").write_text("in the way")
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.STREAM, 10)
    listener.until(lambda p: "cannot be saved" in p.not_saved and p.length == 10 and not p.running)
    listener.player.do(operations.STREAM, 10)
    assert "cannot be saved" in listener.until(lambda p: p.length == 20 and not p.running).not_saved
    (own_home / ".local").unlink()
    state = listener.until(lambda p: not p.not_saved)
    listener.player.close()
    assert state.file is not None
    assert len(load_session(state.file, load_model(model))) == 20


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
    listener.until(lambda p: listener.prime == "Now" and not p.error)
    reading.hold()
    listener.player.load(PlayRequest(str(model), prime=long, stream=True))
    listener.until(lambda p: "Reading the prime" in p.busy)
    listener.player.cancel()
    reading.go_on()
    state = listener.until(lambda p: "Stopped reading" in p.failure)
    assert (listener.prime, state.request.prime, state.running) == ("Now", "Now", False)  # what was played before


def test_how_far_a_long_prime_is_read_is_said_while_other_commands_wait(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "PROGRESS_AFTER", 0.0)
    reading = HeldReading(monkeypatch)
    reading.hold()
    listener.player.load(PlayRequest(str(model), prime="The morning and the sea. " * 20_000))
    listener.player._put(lambda: None)  # as of the thread that saves what was played before
    listener.until(lambda p: "Reading the prime" in p.busy, 20)
    listener.player.cancel()
    reading.go_on()


def test_a_newer_wish_ends_the_reading_of_a_long_prime(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), prime="The morning and the sea. " * 20_000))
    listener.player.load(PlayRequest(str(model), prime="Now"))
    listener.until(lambda p: listener.prime == "Now")


def test_moves_and_edits_act_at_once_while_a_long_text_is_read(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    player, held = listener.player, threading.Event()
    read = Reader.read

    def read_slowly(reader: Reader, until: int, proceed: Callable[[], bool] = lambda: True) -> bool:
        return read(reader, until, lambda: (held.wait(0.01), proceed())[1])

    monkeypatch.setattr(Reader, "read", read_slowly)
    monkeypatch.setattr(playback, "READING_SHOWN", 0.0)
    monkeypatch.setattr(thread, "READING_STATES", 0.02)
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.INSERT, "the light was on the stairs " * 100)
    listener.until(lambda p: p.length == 2800)
    player.do(operations.SET_WRITING, True)
    player.do(operations.MOVE_TO, at(4))
    player.do(operations.INSERT, "x")
    player.do(operations.SET_WRITING, False)  # from now on what follows is read
    state = listener.until(lambda p: "left 0:" in p.reading and p.length == 2801)
    assert (state.position - state.prime_length, state.length) == (5, 2801)
    player.do(operations.MOVE_TO, at(2))
    assert listener.until(lambda p: p.position == p.prime_length + 2).reading
    player.do(operations.MOVE_TO, at(2000))
    player.do(operations.MOVE_TO, at(2500))
    state = listener.until(lambda p: p.position == p.prime_length + 2500)
    assert state.reading
    assert state.distribution is not None
    assert not state.distribution.alternatives  # not those of another position
    player.do(operations.MOVE_BY, -1)
    player.do(operations.INSERT_AT, "own", at(2100))
    player.do(operations.CHOOSE, "a", at(2103))
    state = listener.until(lambda p: p.length == 2104)
    expected = "the xlight was on the stairs " + "the light was on the stairs " * 99
    assert listener.line == expected[:2100] + "owna"
    assert state.read_to < state.size
    held.set()
    state = listener.until(lambda p: p.read_to == p.size)
    assert not state.reading
    assert state.distribution is not None
    assert state.distribution.alternatives
    for length in (2103, 2801):
        player.do(operations.UNDO)
        listener.until(lambda p, length=length: p.length == length)  # type: ignore[misc]
    listener.until(lambda p: p.read_to == p.size)
    assert listener.line == expected
    fresh = Session(tiny_model(), "The morning")
    fresh.type(expected)
    rows, typed = fresh.rows(), np.full(len(expected), Origin.TYPED, np.uint16)
    assert np.array_equal(listener.marks, pack(typed, rows["probability"], rows["rank"], rows["entropy"]))


def test_what_was_typed_before_write_is_left_is_not_lost(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model)))
    listener.until(lambda p: p.distribution is not None)
    listener.player.do(operations.SET_WRITING, True)
    for char in "abc":
        listener.player.do(operations.INSERT, char)
    listener.player.cancel()
    listener.player.do(operations.SET_WRITING, False)
    listener.until(lambda p: p.length == 3)
    assert listener.line == "abc"


@pytest.mark.parametrize("ends", [True, False])
def test_continuation_in_one_sentence_goes_on_to_its_end(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model)))
    player.find_continuations(6, 20, 2, 1)
    state = listener.until(lambda p: p.continuations is not None and p.continuations.complete)
    assert state.continuations is not None
    shown = state.continuations.found[1].text
    assert not list(sentence_ends(shown))
    monkeypatch.setattr(playback, "LONGEST_SENTENCE", 5000 if ends else 25)  # the model writes few ends
    player.do(operations.PUT_IN_SENTENCE, shown, 6, 1)
    state = listener.until(lambda p: p.length > 0)
    assert listener.line.startswith(shown)
    assert ("No sentence ended" in state.note) is not ends
    assert (list(sentence_ends(f"{listener.line} "))[:1] == [len(listener.line)]) is ends


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

    def last(opened: Path | None = None, closed: SavedSession | None = None) -> Path | None:
        found = saved_sessions.last(place, opened, closed)
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
    long = saved(place / "auto-long.json", 3, 1500)
    assert last() == long
    named = saved(place / "mine.json", 10, 100, edited=True)
    newer = saved(place / "auto-newer.json", 5, 100, edited=True, continues=str(named))
    assert last(opened=named) == newer
    os.utime(named)
    assert last(opened=named) == named
    closed = SavedSession(place / "auto-not-written.json", time.time(), session_file.SessionSummary(10, "", True))
    assert last(closed=closed) == closed.path


def test_a_text_has_one_row_and_those_that_only_grew_come_last(tmp_path: Path) -> None:
    place = tmp_path / "sessions"
    grew = saved(automatic(place, 1), 10, 68)
    mine = saved(place / "mine.json", 50, 70, edited=True)
    version = saved(automatic(place, 2), 40, 80, edited=True, continues=str(mine))
    same = saved(place / "same.json", 20, 90, edited=True)
    played = saved(automatic(place, 3), 30, 90, edited=True, continues=str(same))
    newer = saved(place / "newer.json", 60, 100, edited=True)
    older = saved(automatic(place, 4), 70, 110, edited=True, continues=str(newer))
    rows = text_picker.texts(place)
    assert [Path(path) for path, _, _ in rows] == [played, version, newer, older, grew]
    flags = [about.split(" · ")[0] for _, _, about in rows]
    assert flags == ["from same.json", "from mine.json", "your file newer.json", "from newer.json", "not kept"]


def test_session_whose_text_was_undone_is_listed_and_named_at_the_end(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model)))
    player.do(operations.INSERT, "a story")
    file = listener.saved(7).file
    player.do(operations.UNDO)
    listener.saved(0)
    assert player.close(60)
    assert file is not None
    (session,) = saved_sessions.saved(file.parent)
    assert (session.length, session.is_listed) == (0, True)
    assert saved_sessions.kept(file) == f"The text is kept: {saved_sessions.continues(file)}."
    file.write_bytes(b"damaged")
    (session,) = saved_sessions.saved(file.parent)
    assert session.is_listed
    assert not saved_sessions.kept(file)


def test_text_before_another_prime_is_the_last_session(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.STREAM, 30)
    listener.until(lambda p: p.length == 30 and not p.running)
    player.do(operations.CHOOSE, "x", at(10))
    story = listener.until(lambda p: p.length == 11 and p.file is not None)
    line = listener.line
    player.load(PlayRequest(str(model), prime="e", speed=FULL, stream=True))
    other = listener.until(lambda p: listener.prime == "e" and p.length > 30 and p.file is not None)
    assert story.replaced is None
    assert other.file != story.file  # in the same second
    assert other.replaced is not None
    assert (other.replaced.path, other.replaced.length) == (story.file, 11)
    assert other.last_session == other.replaced
    player.do(operations.UNDO)
    assert listener.until(lambda p: "nothing to undo" in p.note).file == other.file
    player.load(PlayRequest(str(model), session=story.file))
    back = listener.until(lambda p: listener.prime == PRIME and p.request.session is not None)
    assert (listener.line, back.file, back.undoable) == (line, story.file, "choosing")


def test_title_of_a_text_that_was_played_before_stays_when_it_comes_back(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model)))
    player.do(operations.INSERT, "first")
    file = listener.saved(5).file
    assert file is not None
    player.load(PlayRequest(str(model), prime="e"))
    listener.until(lambda p: listener.prime == "e")
    assert player.give_title("The bell", file)
    assert not player.give_title("The bell", file.with_stem("another"))
    assert session_file.read_summary(file).title == "The bell"
    player.load(PlayRequest(str(model), session=file))
    listener.until(lambda p: p.length == 5 and p.title == "The bell")
    player.do(operations.INSERT, " second")
    assert listener.saved(12).file == file
    assert session_file.read_summary(file).title == "The bell"
    assert not any("Another program" in note for note in listener.notes)


def test_session_that_is_opened_before_it_is_saved_whole_says_so(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.INSERT, "first")
    file = listener.saved(5).file
    monkeypatch.setattr(session_saver.SessionSaver, "flush", lambda *_: False)
    player.load(PlayRequest(str(model), session=file))
    listener.until(lambda p: p.request.session == file and p.length == 5)
    assert "not saved yet" in " ".join(listener.notes)


def test_text_that_an_unexpected_error_ends_and_that_cannot_be_saved_is_kept_elsewhere(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, unexpected_errors: deque[str]
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("bad luck")

    run, player = record(tmp_path, "finished").run, listener.player
    run.sessions_dir.write_text("in the way")
    player.load(PlayRequest(str(run.path), speed=FULL))
    player.do(operations.INSERT, "first")
    listener.until(lambda p: p.length == 5 and bool(p.not_saved))
    with monkeypatch.context() as patch:
        patch.setattr(Reading, "draw", fail)
        player.do(operations.STREAM, 5)
        listener.until(lambda p: bool(p.error))
    assert unexpected_errors
    close(player)
    assert len(player.rescue()) == 1
    (kept,) = (state_dir() / "sessions" / "unsaved").glob("auto-*.json")
    assert load_session(kept, load_model(run.model_path)).read() == "first"


@pytest.mark.parametrize("method", ["draw", "distribution"])
def test_player_shows_and_logs_an_unexpected_error_and_plays_on(
    method: str, model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, unexpected_errors: deque[str]
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("bad luck")

    listener.player.load(PlayRequest(str(model), speed=60, stream=True))
    listener.until(lambda p: p.running)
    with monkeypatch.context() as patch:
        patch.setattr(Reading, method, fail)
        listener.player.do(operations.MOVE_TO, at(0))
        if method == "draw":
            listener.player.do(operations.STREAM, PAUSE_AFTER)
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
        player.do(operations.STREAM, 10)
        assert delivered.wait(60)
    finally:
        player.close()


def test_player_carries_out_every_command_however_many_wait(model: Path, listener: Listener) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.STREAM, 10)
    listener.until(lambda p: p.length == 10 and not p.running)
    release, calls = threading.Event(), []
    listener.player.change_settings(lambda settings: (release.wait(10), settings)[1])
    for number in range(500):
        listener.player.change_settings(lambda settings, number=number: (calls.append(number), settings)[1])  # type: ignore[misc]
    listener.player.load(PlayRequest(str(model), prime="At last"))
    release.set()
    listener.until(lambda p: listener.prime == "At last")
    assert calls == list(range(500))


def test_moves_of_the_cursor_do_not_pile_up(model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.STREAM, 600)
    listener.until(lambda p: p.length == 600 and not p.running)
    positions: list[int] = []
    distribution = Reading.distribution

    def seen(reading: Reading, position: int, count: int) -> NextCharDistribution:
        positions.append(position - reading.prime_length)
        return distribution(reading, position, count)

    monkeypatch.setattr(Reading, "distribution", seen)
    release = threading.Event()
    listener.player.change_settings(lambda settings: (release.wait(10), settings)[1])
    for position in range(600, 100, -1):
        listener.player.do(operations.MOVE_TO, at(position))
    release.set()
    listener.until(lambda p: p.position == p.prime_length + 101)
    assert positions == [101]


def test_a_slow_disk_holds_up_neither_commands_nor_the_end(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, writing = threading.Event(), threading.Event()
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.STREAM, 5)
    listener.until(lambda p: p.length == 5 and not p.running and p.file is not None)
    monkeypatch.setattr(session_file.OwnFile, "write", lambda *arguments, **options: (writing.set(), release.wait(10)))
    listener.player.do(operations.STREAM, 5)
    assert writing.wait(10)
    listener.until(lambda p: p.length == 10 and not p.running)
    begin = time.monotonic()
    listener.player.do(operations.MOVE_TO, at(5))
    listener.until(lambda p: p.position == p.prime_length + 5)
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
    state = listener.until(lambda p: listener.prime == "Again")
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
    listener.player.do(operations.STREAM, 10)
    listener.until(lambda p: p.length == 10 and not p.running)
    path = tmp_path / "mine.json"
    listener.player.save_as(path, None)
    assert writing.wait(10)
    listener.player.do(operations.MOVE_TO, at(5))
    listener.until(lambda p: p.position == p.prime_length + 5)
    assert not path.exists()
    release.set()
    listener.until(lambda p: p.note == f"Saved as mine.json in {home(tmp_path)}")
    assert len(load_session(path, load_model(model))) == 10
    listener.player.save_as(tmp_path, None)
    listener.until(lambda p: "is a folder" in p.failure)


def test_text_continues_only_the_file_that_was_written(
    model: Path, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when another save, which fails, is asked for at once."""
    player, mine, full, save = listener.player, tmp_path / "mine.json", tmp_path / "full.json", user_files.save

    def fail(path: Path, *arguments: Any, **options: Any) -> None:
        if path == full:
            raise OSError(28, "No space left on device")
        save(path, *arguments, **options)

    monkeypatch.setattr(user_files, "save", fail)
    player.load(PlayRequest(str(model)))
    player.do(operations.INSERT, "own")
    file = listener.saved(3).file
    assert file is not None
    player.save_as(full, None)
    listener.until(lambda p: bool(p.failure))
    assert session_file.read_summary(file).continues == listener.saved(3).continues == ""
    player.save_as(mine, None)
    player.save_as(full, None)
    listener.until(lambda p: p.continues == str(mine))
    listener.saved(3)
    assert session_file.read_summary(file).continues == str(mine)
    assert not saved_sessions.kept(file)  # it is all in the one that was saved last
    other = mine.with_stem("other")
    player.save_as(other, None)
    assert player.close(60)  # at once
    assert session_file.read_summary(file).continues == str(other)


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
            each.player.do(operations.INSERT, text)
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


def test_late_failure_of_one_session_leaves_the_saving_of_another(
    tmp_path: Path, model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first session cannot be written while the second is played; it is tried again, and kept at the end."""
    run = record(tmp_path, "finished").run
    monkeypatch.setattr(session_saver, "FIRST_PAUSE", 0.05)
    played, attend = threading.Event(), session_saver.SessionSaver._attend

    def late(saver: session_saver.SessionSaver, saving: Any) -> None:
        played.wait()
        attend(saver, saving)

    monkeypatch.setattr(session_saver.SessionSaver, "_attend", late)
    run.sessions_dir.write_text("in the way")
    listener.player.load(PlayRequest(str(run.path), speed=FULL))
    listener.player.do(operations.INSERT, "first")
    listener.until(lambda p: p.length == 5)
    listener.player.load(PlayRequest(str(model), prime="The", speed=FULL))
    listener.until(lambda p: listener.prime == "The" and p.distribution is not None and not p.not_saved)
    played.set()
    listener.until(lambda p: "It is tried again" in p.not_saved)
    listener.player.do(operations.INSERT, "second")
    second = listener.until(lambda p: p.length == 6 and p.file is not None)
    close(listener.player)
    assert second.file is not None
    assert load_session(second.file, load_model(model)).read() == "second"
    (sentence,) = listener.player.rescue()
    assert sentence.startswith(f"The session cannot be saved to {home(run.sessions_dir)}")
    assert "tried again" not in sentence
    (kept,) = (state_dir() / "sessions" / "unsaved").glob("auto-*.json")
    assert home(kept) in sentence
    assert load_session(kept, load_model(run.model_path)).read() == "first"


def test_what_can_be_saved_nowhere_is_said_at_the_end(model: Path, own_home: Path, listener: Listener) -> None:
    (own_home / ".local").write_text("in the way")
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.INSERT, "own")
    listener.until(lambda p: p.length == 3)
    close(listener.player)
    (sentence,) = listener.player.rescue()
    assert "cannot be saved" in sentence
    assert sentence.endswith("Its latest changes are lost.")


def test_session_follows_its_run_through_a_rename(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished").run
    player = listener.player
    player.load(PlayRequest(str(run.path), speed=FULL))
    player.do(operations.INSERT, "first ")
    listener.saved(6)
    renamed = rename_run(run, "renamed")
    assert record(tmp_path, "finished").run == run  # another one, which has its name now
    player.do(operations.INSERT, "second")
    state = listener.until(lambda p: p.file is not None and p.file.parent == renamed.sessions_dir)
    assert state.facts is not None
    assert (state.facts.run, state.facts.name) == (renamed.path, "renamed")
    player.do(operations.INSERT, " third")
    listener.until(lambda p: p.length == 18)
    assert player.close(60)
    (file,) = renamed.sessions_dir.glob("*.json")
    assert file == state.file == player.file
    assert load_session(file, load_model(renamed.model_path)).read() == "first second third"
    assert not run.sessions_dir.exists()


def test_player_that_is_told_of_a_rename_knows_the_new_folder_at_once(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished").run
    player = listener.player
    player.load(PlayRequest(str(run.path), speed=FULL))
    player.do(operations.INSERT, "first ")
    listener.saved(6)
    renamed = rename_run(run, "renamed")
    assert record(tmp_path, "finished").run == run  # another one, which has its name now
    player.rename_run(run.path, renamed.path)
    state = listener.until(lambda p: p.facts is not None and p.facts.run == renamed.path)
    assert state.facts is not None
    assert state.file is not None
    assert state.request.model_name == str(renamed.path)
    assert (state.facts.path, state.file.parent) == (renamed.model_path, renamed.sessions_dir)
    player.do(operations.INSERT, "second")
    listener.until(lambda p: p.length == 12)
    assert player.close(60)
    assert load_session(state.file, load_model(renamed.model_path)).read() == "first second"
    assert not run.sessions_dir.exists()


def test_session_of_a_deleted_run_is_kept_elsewhere(tmp_path: Path, listener: Listener) -> None:
    run = record(tmp_path, "finished").run
    model = load_model(run.model_path)
    listener.player.load(PlayRequest(str(run.path), speed=FULL))
    listener.player.do(operations.INSERT, "first")
    listener.saved(5)
    delete_run(run)
    listener.player.do(operations.INSERT, "second")
    state = listener.until(lambda p: any("was deleted" in note for note in listener.notes))
    assert state.file is not None
    assert home(state.file) in " ".join(listener.notes)
    listener.player.do(operations.INSERT, "third")
    listener.until(lambda p: p.length == 16)
    assert listener.player.close(60)
    assert load_session(state.file, model).read() == "firstsecondthird"
    assert not run.path.exists()


def test_session_that_is_saved_while_others_are_dated_later_stays(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_sessions, "MOST_AUTO", 3)
    place = saved_sessions.folder(None, model)
    place.parent.mkdir(parents=True)
    later = [saved(automatic(place, n), -1000 - n, 68, edited=True) for n in range(3)]
    listener.player.load(PlayRequest(str(model), speed=FULL))
    listener.player.do(operations.INSERT, "own")
    state = listener.until(lambda p: p.length == 3 and p.file is not None)
    listener.player.close()
    assert state.file is not None
    assert set(place.glob("*.json")) == {*later, state.file}


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
    assert saved_sessions.AUTO_NAME.fullmatch(saved_sessions.new_name(tmp_path).name)


def test_change_that_fails_leaves_what_can_be_done_again(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.STREAM, 40)
    listener.until(lambda p: p.length == 40 and not p.running)
    text = listener.line
    player.do(operations.INSERT_AT, "own", at(5))
    listener.until(lambda p: p.length == 8)
    player.do(operations.UNDO)
    listener.until(lambda p: p.redoable == "typing")
    for fail in (
        lambda: player.do(operations.SWITCH, 99),
        lambda: player.do(operations.PRUNE, 99),
    ):
        fail()
        state = listener.until(lambda p: bool(p.failure))
        assert (state.redoable, listener.line, len(state.branches)) == ("typing", text, 2)
        player.change_speed(lambda speed: FULL)
        player.do(operations.MOVE_BY, 0)
        listener.until(lambda p: not p.failure)
    player.do(operations.REDO)
    listener.until(lambda p: p.length == 8)


@pytest.mark.parametrize("settings", [SamplerSettings(temperature=0.3), SamplerSettings(top_k=2, temperature=0.2)])
def test_regenerating_changes_the_text_and_is_undone_with_its_seed(
    model: Path, listener: Listener, settings: SamplerSettings
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL, settings=settings, seed=3))
    player.do(operations.STREAM, 60)
    listener.until(lambda p: p.length == 60 and not p.running)
    text = listener.line
    player.change_speed(lambda speed: 0)
    for position in range(0, 60, 2):
        player.do(operations.REGENERATE, at(position))
        listener.until(lambda p: p.undoable == "regenerating")
        assert listener.line[:position] == text[:position]
        assert listener.line != text[: len(listener.line)], position
        assert player._playbacks[0].document.seed != 3
        player.do(operations.UNDO)
        listener.until(lambda p: p.redoable == "regenerating")
        assert (listener.line, player._playbacks[0].document.seed) == (text, 3)
    player.do(operations.REDO)
    listener.until(lambda p: p.undoable == "regenerating")
    assert player._playbacks[0].document.seed != 3


def test_regenerating_says_where_nothing_else_can_be_drawn(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL, settings=SamplerSettings(temperature=0)))
    player.do(operations.STREAM, 60)
    listener.until(lambda p: p.length == 60 and not p.running)
    text = listener.line
    player.do(operations.REGENERATE, at(20))
    state = listener.until(lambda p: bool(p.failure))
    assert "writes the same again" in state.failure
    assert (listener.line, state.running, player._playbacks[0].document.seed) == (text, False, 0)
    player.change_settings(lambda settings: replace(settings, temperature=1.0))
    player.do(operations.REGENERATE, at(20))
    listener.until(lambda p: p.length > 60 and not p.running)
    assert listener.line[:20] == text[:20]
    assert listener.line[:60] != text


@pytest.mark.parametrize("method", ["draw", "distribution"])
def test_words_before_an_unexpected_error_are_saved(
    method: str, model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, unexpected_errors: deque[str]
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("bad luck")

    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.INSERT, "first")
    file = listener.saved(5).file
    monkeypatch.setattr(thread, "SAVE_AFTER", 1000.0)
    player.do(operations.INSERT, " second")
    listener.until(lambda p: p.length == 12)
    with monkeypatch.context() as patch:
        patch.setattr(Reading, method, fail)
        player.do(operations.STREAM, PAUSE_AFTER)
        listener.until(lambda p: bool(p.error))
    assert unexpected_errors
    player.close(60)
    assert file is not None
    assert load_session(file, load_model(model)).read().startswith("first second")


# ---- closing the app and opening another text while something waits


def text_in_file(path: Path | None, model: Path) -> str:
    assert path is not None
    return load_session(path, load_model(model)).read()


@contextmanager
def without_reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """No text is read here: it is tried in vain. The numbers of characters that were tried."""
    tried: list[int] = []

    def refuse(reading: Reading, until: int, check: object = None) -> None:
        if until > reading.read_to:
            tried.append(until - reading.read_to)
            raise AssertionError("the model reads")

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "read", refuse)
        yield tried


def hold(player: Player) -> threading.Event:
    """Let the player's thread wait, so that commands wait for it."""
    held, release = threading.Event(), threading.Event()
    player.change_settings(lambda settings: (held.set(), release.wait(60), settings)[2])
    assert held.wait(60)
    return release


def test_words_that_wait_are_in_the_file_when_the_app_is_closed_and_the_model_need_not_read_them(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.STREAM, 400)
    listener.until(lambda p: p.length == 400 and not p.running)
    text = listener.line
    player.do(operations.SET_WRITING, True)
    player.do(operations.MOVE_TO, at(5))
    player.do(operations.INSERT, "own ")
    listener.until(lambda p: p.length == 404 and p.read_to < p.size)
    release = hold(player)
    player.do(operations.MOVE_TO, at(404))
    for char in " The end.":
        player.do(operations.INSERT, char)
    player.do(operations.MOVE_BY, -1)
    player.do(operations.ERASE, 3, 0)
    player.do(operations.ERASE_WORD, -1)
    player.do(operations.INSERT, "to be continued")
    player.do(operations.RENAME, 0, "named")
    player.do(operations.INSERT, "?")
    player.do(operations.UNDO)
    player.do(operations.MOVE_TO, at(len(text) + 4 + len(" to be continued")))
    player.do(operations.INSERT, "!")
    player.do(operations.REPLACE, at(0), at(2), "At first: ")
    with without_reading(monkeypatch) as tried:
        assert not player.close(0)
        release.set()
        assert player.close(60)
        assert not tried
    assert text_in_file(player.file, model) == "At first: " + text[2:5] + "own " + text[5:] + " to be continued!."


def test_words_that_wait_are_kept_when_another_text_is_played(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.STREAM, 400)
    first = listener.until(lambda p: p.length == 400 and not p.running and p.file is not None)
    text = listener.line
    player.do(operations.SET_WRITING, True)
    player.do(operations.MOVE_TO, at(5))
    player.do(operations.INSERT, "own ")
    listener.until(lambda p: p.length == 404 and p.read_to < p.size)
    with without_reading(monkeypatch):
        release = hold(player)
        player.do(operations.MOVE_TO, at(404))
        player.do(operations.INSERT, "The end.")
        player.load(PlayRequest(str(model), prime="Now"))
        release.set()
        listener.until(lambda p: listener.prime == "Now")
    assert player.close(60)
    assert text_in_file(first.file, model) == text[:5] + "own " + text[5:] + "The end."


def test_words_for_a_text_that_is_being_opened_are_in_that_text(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.INSERT, "first")
    first = listener.until(lambda p: p.length == 5 and p.file is not None)
    release = hold(player)
    player.load(PlayRequest(str(model), prime="Now"))
    player.do(operations.INSERT, "second")
    assert not player.close(0)
    release.set()
    assert player.close(60)
    assert text_in_file(player.file, model) == "second"
    assert first.file != player.file
    assert text_in_file(first.file, model) == "first"


@contextmanager
def held_reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The player's model reads nothing meanwhile; what waits for it waits."""
    with monkeypatch.context() as patch:
        patch.setattr(Reader, "read", lambda reader, until, proceed=None: False)
        yield


def test_what_waits_in_write_is_done_in_its_order_before_what_is_typed_behind_it(
    model: Path, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export has the text as it was when it was asked for; what is typed does not wait for the model."""
    player, path = listener.player, tmp_path / "text.md"
    player.load(PlayRequest(str(model)))
    listener.until(lambda p: p.distribution is not None)
    with held_reading(monkeypatch):
        player.do(operations.SET_WRITING, True)
        player.do(operations.INSERT, "hello world")
        player.save_as(path, None)
        player.do(operations.MOVE_BY, -5)
        player.do(operations.INSERT, "X")
        listener.until(lambda p: p.length == 12)
        assert listener.line == "hello Xworld"
        player.save_as(path.with_stem("later"), None)
        player.do(operations.SET_WRITING, False)
        player.do(operations.RENAME, 0, "named")
        listener.until(lambda p: p.branches[0].name == "named")
        assert not player._playbacks[0].writing
    listener.until(lambda p: any("Exported to later.md" in note for note in listener.notes))
    assert "The morninghello world" in path.read_text()
    assert "hello Xworld" in path.with_stem("later").read_text()


def test_text_alone_is_exported_before_the_model_has_read_it(
    model: Path, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    player, path = listener.player, tmp_path / "text.txt"
    player.load(PlayRequest(str(model)))
    listener.until(lambda p: p.distribution is not None)
    with held_reading(monkeypatch):
        player.do(operations.INSERT, "hello\nworld")
        player.save_as(path, None)
        player.save_as(path.with_stem("prose"), None, prose=True)
        listener.until(lambda p: any("Exported to prose.txt" in note for note in listener.notes))
    assert path.read_text() == "The morninghello\nworld"
    assert path.with_stem("prose").read_text() == "The morninghello world"


def test_message_of_a_file_stays_until_it_was_shown(model: Path, listener: Listener, tmp_path: Path) -> None:
    """Also where something is done before the screen collects it."""
    player = listener.player
    player.load(PlayRequest(str(model)))
    player.do(operations.INSERT, "hello")
    listener.saved(5)
    (tmp_path / "way").write_text("in the way")
    release = hold(player)
    player.save_as(tmp_path / "way" / "story.txt", None)
    player.save_as(tmp_path / "story.txt", None)
    player._put(lambda: player._writer.wait(60))
    player._put(lambda: player.do(operations.INSERT, "!"))  # behind what the jobs have said by then
    release.set()
    state = listener.until(lambda p: p.length == 6)
    assert "cannot be written" in state.failure
    assert state.note == f"Exported to story.txt in {home(tmp_path)}"


def test_closing_waits_for_an_export(
    model: Path, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, path, save = threading.Event(), tmp_path / "story.html", user_files.save_bytes
    monkeypatch.setattr(thread, "WAIT_FOR_FILE", 0.01)
    monkeypatch.setattr(user_files, "save_bytes", lambda *arguments: (release.wait(60), save(*arguments)))
    listener.player.load(PlayRequest(str(model)))
    listener.player.do(operations.INSERT, "hello")
    listener.saved(5)
    listener.player.save_as(path, None)
    assert not listener.player.close(0.5)
    release.set()
    assert listener.player.close(60)
    assert "hello" in path.read_text()
    assert not listener.player.rescue()


def test_export_that_fails_at_the_end_is_said(model: Path, listener: Listener, tmp_path: Path) -> None:
    listener.player.load(PlayRequest(str(model)))
    listener.player.do(operations.INSERT, "hello")
    listener.saved(5)
    (tmp_path / "way").write_text("in the way")
    listener.player.save_as(tmp_path / "way" / "story.md", None)
    assert listener.player.close(60)
    failure, kept = listener.player.rescue()
    assert "story.md cannot be written" in failure
    assert kept.startswith("The text is kept")


def test_a_request_for_suggestions_gives_way_to_what_is_typed(
    model: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model)))
    listener.until(lambda p: p.distribution is not None)
    with held_reading(monkeypatch):
        player.do(operations.SET_WRITING, True)
        player.do(operations.INSERT, "hello")
        player.find_continuations(2, 10, 1, 1)
        player.do(operations.ANOTHER_SUGGESTION, 1)
        player.do(operations.INSERT, " you")
        state = listener.until(lambda p: p.length == 9)
    assert state.continuations is None
    assert listener.line == "hello you"


@pytest.mark.parametrize("goes_on", [True, False])
def test_words_behind_what_waits_for_the_model_are_kept_at_the_end(
    goes_on: bool, model: Path, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when another text is played. An undo of what was not done takes nothing away."""
    player, path = listener.player, tmp_path / "text.md"
    player.load(PlayRequest(str(model)))
    listener.until(lambda p: p.distribution is not None)
    player.do(operations.INSERT, "hello")
    first = listener.saved(5)
    with held_reading(monkeypatch):
        player.do(operations.INSERT, " you")
        player.do(operations.REGENERATE, at(8))
        player.do(operations.UNDO)
        player.do(operations.INSERT_AT, "r own", at(9))
        player.save_as(path, None)
        if goes_on:
            player.load(PlayRequest(str(model), prime="Now"))
            listener.until(lambda p: listener.prime == "Now")
        assert player.close(60)
    assert text_in_file(first.file, model) == "hello your own"
    assert "The morninghello your own" in path.read_text()


def test_a_copy_that_has_learnt_suggests_with_the_random_numbers_of_the_place(model: Path, listener: Listener) -> None:
    """One that has learnt nothing suggests the same as the model."""
    player, copy = listener.player, load_model(model)
    player.load(PlayRequest(str(model)))
    player.do(operations.SET_WRITING, True)
    player.do(operations.INSERT, "hello world")
    before = listener.until(lambda p: p.length == 11 and bool(p.suggestion))
    player.do(operations.SUGGEST_WITH, LearntModel(copy, Stepper(copy), 1.0), before.session_id)
    listener.until(lambda p: p.learnt_strength == 1.0 and not player._playbacks[0].wants_suggestion)
    assert player._playbacks[0].suggestions == [before.suggestion]


def test_words_behind_a_change_of_the_checkpoint_are_in_the_text_that_then_begins(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record(tmp_path, "finished").run
    player = listener.player
    player.load(PlayRequest(str(run.path), speed=0))
    before = listener.until(lambda p: p.distribution is not None)
    with monkeypatch.context() as patch:
        patch.setattr(playback.Playback, "unread", property(lambda playback: 1))
        player.do(operations.GENERATE_ONE)
        player.load_checkpoint(-1)
        player.do(operations.INSERT, "own")
        listener.until(lambda p: p.done == player.asked[0])
    listener.until(lambda p: p.session_id != before.session_id and p.length == 3)
    assert listener.line == "own"


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
        listener.player.do(operations.INSERT, text)
        listener.until(lambda p, text=text: listener.line.endswith(text))
    assert not listener.player.close(0.3)
    release.set()
    assert listener.player.close(60)
    assert text_in_file(listener.player.file, model) == "onetwothree"


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
        (operations.PUT_IN, ("he ha",)),
        (operations.CHOOSE, ("he ha", at(2))),
        (operations.INSERT_AT, ("he ha", at(2))),
        (operations.REGENERATE, (at(2),)),
        (operations.ALTERNATIVE, (1, at(2))),
    ],
)
def test_player_says_how_much_left_the_page_and_on_which_branch_it_is(
    listener: Listener, model: Path, operation: operations.Operation, arguments: tuple[Any, ...]
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), prime=PRIME, speed=0.0))
    listener.until(lambda p: p.distribution is not None)
    player.change_speed(lambda speed: FULL)
    player.do(operations.STREAM, 40)
    listener.until(lambda p: p.length == 40 and not p.running)
    player.do(operations.RENAME, 0, "storm")
    player.change_speed(lambda speed: 0.0)
    player.do(operations.MOVE_TO, at(2))
    player.do(operation, *arguments)
    listener.until(lambda p: len(p.branches) == 2)
    left = re.fullmatch(
        r"(\d+) characters are on branch “storm” now: b shows branches, Ctrl\+Z undoes\.", listener.notes[-1]
    )
    assert left is not None
    assert 30 < int(left[1]) <= 38
    player.do(operations.UNDO)
    listener.until(lambda p: p.length == 40)


def test_key_that_changes_nothing_and_another_seed_give_the_user_no_part_in_a_text(
    model: Path, listener: Listener
) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.STREAM, 30)
    listener.until(lambda p: p.length == 30 and not p.running)
    for operation, arguments in ((operations.REDO, ()), (operations.ERASE, (0, 1)), (operations.CUT_REST, ())):
        player.do(operation, *arguments)
    assert not listener.until(lambda p: "nothing after the cursor" in p.note).edited
    player.do(operations.REGENERATE, at(10))
    assert not listener.until(lambda p: len(p.branches) == 2).edited
    player.do(operations.CHOOSE, "x", at(5))
    assert listener.until(lambda p: p.length == 6).edited


def test_texts_that_only_grew_share_a_file_which_is_deleted_at_the_end(model: Path, listener: Listener) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.STREAM, 30)
    file = listener.saved(30).file
    assert file is not None
    for prime in "et":
        player.load(PlayRequest(str(model), prime=prime, speed=FULL))
        player.do(operations.STREAM, 40)
        listener.until(lambda p, prime=prime: listener.prime == prime and p.length == 40)  # type: ignore[misc]
        assert listener.saved(40).file == file
    (session,) = saved_sessions.saved(file.parent)
    assert (session.length, session.has_work) == (40, False)
    assert player.close(60)
    assert file.exists()  # as when the app is killed
    assert player.close(60, delete_unkept=True)
    assert not file.exists()


@pytest.mark.parametrize("ending", [".json", ".txt"])
def test_text_that_was_saved_or_exported_is_kept(model: Path, listener: Listener, tmp_path: Path, ending: str) -> None:
    player = listener.player
    player.load(PlayRequest(str(model), speed=FULL))
    player.do(operations.STREAM, 30)
    listener.saved(30)
    player.save_as(tmp_path / f"mine{ending}", None)
    file = listener.until(lambda p: p.edited and p.file is not None and "mine" in p.note).file
    assert player.close(60, delete_unkept=True)
    assert file is not None
    assert file.exists()
