"""A player without an app: how a text is changed, opened, saved, and what is said of it."""

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
from charlstm.model.file import save_model
from charlstm.paths import state_dir
from charlstm.runs.folder import RunFolder, delete_run, rename_run
from charlstm.text.corpus import line_numbers, open_corpus
from charlstm.text.reading import TextOptions
from charlstm.text.sentences import sentence_ends
from charlstm_tui import app_state
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.formatting import home
from charlstm_tui.generate import text_picker
from charlstm_tui.main import command
from charlstm_tui.player import found_text, questions, saved_sessions, session_saver, text_player, text_saving
from charlstm_tui.player.model_thread import Batch
from charlstm_tui.player.opening import LearntModel, PlayRequest
from charlstm_tui.player.overlap import LineIndex
from charlstm_tui.player.played import PAUSE_AFTER, Continuations
from charlstm_tui.player.saved_sessions import SavedSession
from played_documents import text_of
from playing_app import PRIME, at
from recorded_run import record, tiny_model
from stepped_player import SteppedPlayer
from wrapped_prose import prose


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_model(path, tiny_model(prime=PRIME))
    return path


@pytest.fixture
def player() -> Iterator[SteppedPlayer]:
    player = SteppedPlayer(saves=True)
    yield player
    player.close()


@pytest.fixture
def page(model: Path, player: SteppedPlayer) -> SteppedPlayer:
    """The player with the model, and no text but its prime."""
    player.play(model)
    return player


@pytest.fixture
def played_run(tmp_path: Path, player: SteppedPlayer) -> RunFolder:
    """A run with snapshots after 0, 50, 100, 200, 400, 700 and 1,000 steps. Its best model is played, with a prime."""
    run = record(tmp_path, "finished").run
    player.play(run.path, prime="The")
    return run


def test_error_of_a_model_is_gone_while_the_next_one_opens(model: Path, player: SteppedPlayer) -> None:
    assert player.play("nothing").error
    player.jobs._spawn = lambda job: job.close()  # it goes on opening
    player.open(PlayRequest(str(model)))
    assert player.played.busy
    assert not player.played.error


def test_streams_a_thousand_and_pauses_and_goes_on(model: Path, player: SteppedPlayer) -> None:
    state = player.play(model, stream=True)
    assert (state.length, state.running) == (PAUSE_AFTER, False)
    assert "1,000" in state.stop_reason
    expected = Session(tiny_model(), PRIME)
    assert (player.prime, player.line) == (PRIME, "".join(step.char for step in expected.stream(PAUSE_AFTER)))
    assert player.generate(10).length == PAUSE_AFTER + 10


def test_every_change_of_the_text_is_undone_and_done_again(page: SteppedPlayer) -> None:
    page.generate(40)
    other = "a" if page.line[20] != "a" else "b"
    changes: dict[str, Callable[[], object]] = {
        "moving": lambda: page.move(at(20)),
        "choosing": lambda: page.choose(other, at(20)),
        "typing": lambda: page.insert_at("own", at(5)),
        "switching branches": lambda: page.switch(0),
        "pruning": lambda: page.prune(1),
        "regenerating": lambda: page.regenerate(at(30)),
    }
    first, place = page.line, page.played.position
    for kind, change in changes.items():
        assert page.after(change).undoable == kind
    last = page.line
    for kind in reversed(changes):
        assert page.after(page.undo).note == f"Undone: {kind}."
    assert (page.line, page.played.position) == (first, place)
    for kind in changes:
        assert page.after(page.redo).note == f"Done again: {kind}."
    assert page.line == last != first


def test_between_pictures_changes_are_shown_and_published_once_and_no_old_answer_is_taken(page: SteppedPlayer) -> None:
    put_off = dict[Callable[[], object], None]()
    page.generate(20)
    before = page.line
    page.regenerate(at(10))  # the answer comes late
    published = page.played
    page.before_draw = lambda act: put_off.setdefault(act)
    for character in "abc":
        page.insert(character)
    assert page.played is published
    assert page.shown.text == PRIME + before
    page.show_text()  # as for a key that moves by rows
    assert (page.shown.text, page.shown.cursor) == (PRIME + before + "abc", at(23))
    page.finish()  # with the answer to what was asked before
    assert (page.line, page.played.undoable) == (before + "abc", "typing")
    page.move(at(5))
    (act,) = put_off
    act()
    assert page.played.position == at(5)
    page.finish()
    act()
    assert page.played.is_current


def test_what_needs_the_model_is_asked_at_once_also_between_two_pictures(page: SteppedPlayer) -> None:
    page.before_draw = lambda act: None
    page.after(page.generate_one)
    assert len(page.line) == 1


def test_what_a_model_of_plain_letters_does_not_know_is_read_plainly(tmp_path: Path, player: SteppedPlayer) -> None:
    path = tmp_path / "plain.safetensors"
    save_model(path, tiny_model(symbols=tuple("\n abcdefghijklmnopqrstuvwxyzC,'-")))
    assert player.play(path, prime="Œe né").note == "The model reads Œ as a space, é as e."
    player.set_writing(True)
    state = player.after(player.insert, "\r\n\x07Café, “quoth he” — and nai\u0308ve ☃Ω")
    assert (player.prime, player.line) == ("Œe né", "\nCafé, “quoth he” — and naïve ☃Ω")
    assert state.note == "The model reads é as e, “ as ', ” as ', — as -, ï as i, ☃ as a space …."
    assert state.read_as == "Ω, read as a space"
    rows = [mark & 0b111 for mark in player.shown.marks[len(player.prime) :]]
    unknown = [place for place, char in enumerate(player.line) if char in "é“”—ï☃Ω"]
    assert [place for place, level in enumerate(rows) if not level] == unknown  # their figures are another's
    state = player.after(player.move, 9)
    assert (state.current_char, state.read_as) == ("é", "é, read as e")
    assert state.current_probability is not None


def test_pruning_says_what_is_gone_and_how_it_comes_back(page: SteppedPlayer) -> None:
    page.insert_at("one two three", at(0))
    page.insert_at("six", at(4))
    page.insert_at("even", at(5))
    page.rename(2, "the light speaks")
    assert page.after(page.prune, 2).note == "Pruned branch “the light speaks” (4 characters): Ctrl+Z brings it back."
    page.undo()
    note = "Pruned branch 1 (3 characters) and 1 that parted from it: Ctrl+Z brings them back."
    assert page.after(page.prune, 1).note == note


@pytest.mark.usefixtures("played_run")
def test_held_cells_and_a_text_that_was_edited_stay_with_another_checkpoint(player: SteppedPlayer) -> None:
    held = (Clamp(1, 1, value=1.0),)
    player.change_clamps(held)
    state = player.after(player.load_checkpoint, -1)  # with which the text begins again
    assert (state.request.step, state.clamps, state.request.clamps) == (700, held, ())
    player.set_writing(True)
    player.erase(10, 0)
    player.set_writing(False)
    ahead, text = player.finish().distribution, player.line
    state = player.after(player.load_checkpoint, -1)
    assert (state.request.step, player.line, state.clamps, state.request.clamps) == (400, text, held, ())
    assert state.distribution != ahead, "the other model has read the text"


def test_run_without_its_best_model_is_played_with_its_last_snapshot(tmp_path: Path, player: SteppedPlayer) -> None:
    run = record(tmp_path, "finished", steps=200).run
    run.model_path.unlink()
    facts = player.play(run.path).facts
    assert (facts.step, facts.checkpoint_steps) == (200, (0, 50, 100, 200))


def test_checkpoints_of_a_run_that_is_gone_leave_the_text(played_run: RunFolder, player: SteppedPlayer) -> None:
    player.insert("own")
    delete_run(played_run)
    for direction in (-1, 1):
        state = player.after(player.load_checkpoint, direction)
        assert (state.note, state.error, player.line) == ("The run has no models any more.", "", "own")


def test_text_kept_with_another_model_of_the_run_replaces_none(played_run: RunFolder, player: SteppedPlayer) -> None:
    """Generate offered to bring back the older text before it as the one that the key had replaced."""
    player.insert("older")
    assert player.play(played_run.path, prime="The").replaced is not None
    player.insert("own")
    state = player.after(player.load_checkpoint, -1)
    assert (state.request.step, player.line, state.replaced) == (700, "own", None)


@pytest.mark.usefixtures("played_run")
def test_text_of_a_run_that_went_on_with_another_model_goes_on_with_it(model: Path, player: SteppedPlayer) -> None:
    """It was said that its model was not there."""
    player.insert("own")
    player.after(player.go_on_with, str(model), None, None)
    assert player.play(model, session=player.saved(3)).note == ""


@pytest.mark.usefixtures("played_run")
def test_checkpoint_beside_a_model_that_is_gone_is_the_next(player: SteppedPlayer) -> None:
    """A best model that was superseded, for example."""
    steps = {-1: 400, 1: 700, -2: 200, 2: 1000, -9: 0, 9: 1000}
    gone = replace(player.open_text, facts=replace(player.open_text.facts, step=450))
    for direction, step in steps.items():
        player.open_text = gone
        assert player.after(player.load_checkpoint, direction).facts.step == step, direction


def test_lines_of_copied_passages_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "house.txt").write_text(prose(20), encoding="utf-8")
    corpus = open_corpus(tmp_path / "house.txt", TextOptions(lines="auto"))
    places = np.arange(0, corpus.chars, 37)
    lines = LineIndex(corpus)
    assert [lines.line(place) for place in places.tolist()] == line_numbers(corpus, places).tolist()
    assert lines.line(corpus.chars - 1) == prose(20).count("\n")


def test_cursor_is_behind_a_continuation_that_is_put_into_a_text(page: SteppedPlayer) -> None:
    page.set_writing(True)
    page.insert("before after")
    place = page.played.position - 5
    page.move(place)
    page.put_in("and")
    assert (page.played.position, page.line[-10:]) == (place + 3, " and after")


@pytest.mark.parametrize("ends", [True, False])
def test_one_sentence_is_continued_to_its_end(page: SteppedPlayer, monkeypatch: pytest.MonkeyPatch, ends: bool) -> None:
    found: list[Continuations] = []
    page.after(page.ways_on, 6, 20, 2, 1, found.append)
    assert found[-1].complete
    shown = found[-1].found[1].text
    assert not list(sentence_ends(shown))
    for module in (text_player, questions):  # the model writes few ends
        monkeypatch.setattr(module, "LONGEST_SENTENCE", 5000 if ends else 25)
    state = page.after(page.put_in_sentence, shown, 6, 1)
    assert page.line.startswith(shown)
    assert ("No sentence ended" in state.note) is not ends
    assert (list(sentence_ends(f"{page.line} "))[:1] == [len(page.line)]) is ends


def saved(path: Path, ago: float, length: int, *, edited: bool = False) -> Path:
    """The beginning of a session file, saved so many seconds ago."""
    path.parent.mkdir(exist_ok=True)
    summary = {"length": length, "begins": "The", "edited": edited, "size": length}
    path.write_text(json.dumps({"format": 4, "kind": "charlstm session", "summary": summary}))
    os.utime(path, (time.time() - ago, time.time() - ago))
    return path


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
    place, texts = tmp_path / "sessions", tmp_path / "texts"
    grew = saved(place / "auto-20261127-200001.json", 10, 2000)
    beside = saved(place / "beside.json", 50, 70, edited=True)
    mine = saved(texts / "mine.json", 40, 80, edited=True)
    old = saved(place / "auto-20261127-200002.json", 70, 110, edited=True)
    for path in (mine, beside, tmp_path / "gone.json"):
        saved_sessions.remember(path)
    rows = text_picker.texts(place)
    assert [Path(path) for path, _, _ in rows] == [mine, beside, old, grew]
    flags = [about.split(" · ")[0] for _, _, about in rows]
    assert flags == ["your file mine.json", "your file beside.json", "110 chars", "not kept"]
    assert [each.path for each in saved_sessions.everywhere(place, since=time.time() - 45)] == [grew, mine]
    assert [each.path for each in saved_sessions.everywhere(place, since=mine.stat().st_mtime)] == [grew]


def test_own_files_are_remembered_once_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_state, "MOST_FILES", 2)
    app_state.save_state({"theme": "nord"})
    for name in "abcb":
        app_state.remember_file(tmp_path / name)
    assert app_state.own_files() == [tmp_path / "b", tmp_path / "c"]
    assert app_state.load_state().theme == "nord"
    app_state.save_state({"own_files": "damaged"})
    assert app_state.own_files() == []


def test_session_whose_text_was_undone_is_listed_and_named_at_the_end(page: SteppedPlayer) -> None:
    page.insert("a story")
    file = page.saved(7)
    page.undo()
    page.saved(0)
    page.close()
    (session,) = saved_sessions.saved(file.parent)
    assert (session.length, session.is_listed) == (0, True)
    assert saved_sessions.kept(file) == f"The text is kept: {saved_sessions.continues(file)}."
    file.write_bytes(b"damaged")
    (session,) = saved_sessions.saved(file.parent)
    assert (session.is_listed, saved_sessions.kept(file)) == (True, "")


def test_text_before_another_prime_is_the_last_session_and_comes_back(model: Path, player: SteppedPlayer) -> None:
    player.open(PlayRequest(str(model), settings=SamplerSettings(temperature=0.5)))
    player.generate(30)
    player.choose("x", at(10))
    story, line = player.saved(11), player.line
    assert player.played.replaced is None
    player.open(PlayRequest(str(model), prime="e", settings=SamplerSettings(), stream=True))
    other = player.saved(PAUSE_AFTER)
    assert other != story  # in the same second
    replaced = player.played.replaced
    assert (replaced.path, replaced.length) == (story, 11)
    assert player.played.last_session == replaced
    assert ("nothing to undo" in player.after(player.undo).note, player.file) == (True, other)
    back = player.play(model, session=story)
    assert (player.prime, player.line, back.file, back.undoable) == (PRIME, line, story, "choosing")
    assert (back.settings.temperature, len(back.branches)) == (0.5, 2)


def test_opening_an_unsaved_session_says_so(model: Path, page: SteppedPlayer, monkeypatch: pytest.MonkeyPatch) -> None:
    page.insert("first")
    file = page.saved(5)
    monkeypatch.setattr(session_saver.SessionSaver, "flush", lambda *_: False)
    assert "not saved yet" in page.play(model, session=file).note


def test_a_request_without_settings_and_speed_leaves_them_as_they_are(model: Path, player: SteppedPlayer) -> None:
    player.open(PlayRequest(str(model), speed=250))
    player.change_settings(replace(player.recipe.settings, temperature=player.recipe.settings.temperature / 2))
    player.change_speed(player.speed * 2)
    state = player.play(model, prime="Again")
    assert (player.prime, state.settings.temperature, state.speed) == ("Again", 0.4, 500)


def test_a_cursor_that_is_moved_writes_no_file_of_the_users(page: SteppedPlayer, tmp_path: Path) -> None:
    page.insert("own")
    path = tmp_path / "page.json"
    page.save_as(path, None)
    page.until(lambda p: p.file == path)
    content = path.read_bytes()
    page.move(at(1))
    page.saved(3)
    assert path.read_bytes() == content
    page.insert("x")
    page.saved(4)
    assert text_of(path) == f"{PRIME}oxwn"


def test_failure_of_a_text_that_was_played_before_is_said_while_another_is_played(
    tmp_path: Path, model: Path, player: SteppedPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_saving, "WAIT_FOR_FILE", 0.05)
    run = record(tmp_path, "finished").run
    run.sessions_dir.write_text("in the way")
    player.open(PlayRequest(str(run.path), prime="A"))
    player.insert("first")
    player.open(PlayRequest(str(model), prime="The"))
    player.until(lambda p: player.prime == "The" and "It is tried again" in p.not_saved)
    player.close_whole()
    (sentence,) = player.rescue()
    (kept,) = (state_dir() / "sessions" / "unsaved").glob("auto-*.json")
    assert home(kept) in sentence
    assert text_of(kept) == "Afirst"


def test_title_of_a_text_that_was_played_before_is_in_its_file(model: Path, page: SteppedPlayer) -> None:
    page.insert("own")
    path = page.saved(3)
    page.open(PlayRequest(str(model), prime="The"))
    page.give_title("The bell", path)
    assert (page.prime, session_file.read(path).state.summary.title) == ("The", "The bell")


def test_what_can_be_saved_nowhere_is_said_at_the_end(own_home: Path, page: SteppedPlayer) -> None:
    (own_home / ".local").write_text("in the way")
    page.insert("own")
    page.close_whole()
    (sentence,) = page.rescue()
    assert "cannot be saved" in sentence
    assert sentence.endswith("Its latest changes are lost.")


def test_session_follows_its_run_through_a_rename(tmp_path: Path, player: SteppedPlayer) -> None:
    run = record(tmp_path, "finished").run
    player.open(PlayRequest(str(run.path)))
    player.insert("first ")
    player.saved(6)
    renamed = rename_run(run, "renamed")
    player.rename_run(run.path, renamed.path)
    player.insert("second")
    file, facts = player.saved(12), player.played.facts
    assert (facts.run, facts.name) == (renamed.path, "renamed")
    assert list(renamed.sessions_dir.glob("*.json")) == [file]
    assert text_of(file).endswith("first second")


def test_a_name_of_the_users_is_not_one_of_the_apps(tmp_path: Path) -> None:
    for ending, own in (("", True), ("-12", True), ("-final", False), (".json", False)):
        path = saved(tmp_path / f"auto-20261127-203000{ending}.json", 0, 68)
        session = saved_sessions.session_at(path)
        assert (session.automatic, session.name) == (own, "" if own else path.name)
        assert saved_sessions.is_automatic(path, tmp_path) == own
    assert saved_sessions.AUTO_NAME.fullmatch(saved_sessions.new_name(tmp_path).name)


@pytest.mark.parametrize("settings", [SamplerSettings(temperature=0.3), SamplerSettings(top_k=2, temperature=0.2)])
def test_regenerated_text_and_seed_are_undone(model: Path, player: SteppedPlayer, settings: SamplerSettings) -> None:
    player.open(PlayRequest(str(model), settings=settings, seed=3))
    player.generate(60)
    text = player.line
    player.change_speed(0)
    for position in range(0, 60, 6):
        assert player.after(player.regenerate, at(position)).undoable == "regenerating"
        assert player.line[:position] == text[:position]
        assert player.line != text[: len(player.line)], position
        assert player.document.seed != 3
        player.undo()
        assert (player.line, player.document.seed) == (text, 3)
    player.redo()
    assert player.document.seed != 3


def test_regenerating_says_where_nothing_else_can_be_drawn(model: Path, player: SteppedPlayer) -> None:
    player.open(PlayRequest(str(model), settings=SamplerSettings(temperature=0)))
    player.generate(60)
    text = player.line
    state = player.after(player.regenerate, at(20))
    assert "writes the same again" in state.failure
    assert (player.line, state.running, player.document.seed) == (text, False, 0)
    player.change_settings(replace(player.recipe.settings, temperature=1.0))
    assert player.after(player.regenerate, at(20)).length > 60
    assert player.line[:20] == text[:20]
    assert player.line[:60] != text


# ---- closing the app and opening another text while something waits


def test_closing_waits_for_an_export(page: SteppedPlayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, path, save = threading.Event(), tmp_path / "story.html", user_files.save_text
    monkeypatch.setattr(text_saving, "WAIT_FOR_FILE", 0.01)
    monkeypatch.setattr(user_files, "save_text", lambda *arguments: (release.wait(60), save(*arguments)))
    page.insert("hello")
    page.saved(5)
    page.save_as(path, None)
    assert not page.close(0.5)
    release.set()
    assert page.close(60)
    assert "hello" in path.read_text()
    assert not page.rescue()


def test_export_that_fails_at_the_end_is_said(page: SteppedPlayer, tmp_path: Path) -> None:
    page.insert("hello")
    page.saved(5)
    (tmp_path / "way").write_text("in the way")
    page.save_as(tmp_path / "way" / "story.md", None)
    assert page.close(60)
    failure, kept = page.rescue()
    assert "story.md cannot be written" in failure
    assert kept.startswith("The text is kept")


def test_closing_waits_for_a_slow_disk_if_it_may(page: SteppedPlayer, monkeypatch: pytest.MonkeyPatch) -> None:
    release, replace_file = threading.Event(), storage.replace_file

    def slow(*arguments: Any, **options: Any) -> None:
        release.wait(60)
        replace_file(*arguments, **options)

    monkeypatch.setattr(storage, "replace_file", slow)
    for text in ("one", "two", "three"):
        page.insert(text)
    assert not page.close(0.3)
    release.set()
    assert page.close(60)
    assert text_of(page.file) == f"{PRIME}onetwothree"


def interrupted() -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("finish", "said"), [(lambda: "It is saved.", "It is saved."), (interrupted, "not in its file yet is lost")]
)
def test_saving_at_the_end_is_said(finish: Callable[[], str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_DRIVER", "none")
    monkeypatch.setattr(CharLSTMApp, "run", lambda app, **_: app.unfinished.append(finish))
    result = CliRunner().invoke(command, [], standalone_mode=False)
    assert result.exception is None
    first, last = result.stderr.splitlines()
    assert (first, said in last) == ("Saving the session …", True)


@pytest.mark.parametrize(
    ("operation", "arguments"), [("insert_at", ("he ha", at(2))), ("regenerate", (at(2),)), ("alternative", (1, at(2)))]
)
def test_note_says_how_much_left_the_page_for_which_branch(page: SteppedPlayer, operation: str, arguments: Any) -> None:
    page.generate(40)
    page.rename(0, "storm")
    page.change_speed(0.0)
    note = page.after(getattr(page, operation), *arguments).note
    left = re.fullmatch(r"(\d+) characters are on branch “storm” now: b shows branches, Ctrl\+Z undoes\.", note)
    assert 30 < int(left[1]) <= 38


def test_key_that_changes_nothing_and_another_seed_give_the_user_no_part_in_a_text(page: SteppedPlayer) -> None:
    page.generate(30)
    page.redo()
    page.erase(0, 1)
    page.cut_rest()
    assert "nothing after the cursor" in page.notes[-1]
    assert not page.played.edited
    assert not page.after(page.regenerate, at(10)).edited
    assert page.after(page.choose, "x", at(5)).edited


def test_texts_that_only_grew_share_a_file_which_is_deleted_at_the_end(model: Path, page: SteppedPlayer) -> None:
    page.generate(30)
    file = page.saved(30)
    for prime in "et":
        page.play(model, prime=prime)
        page.generate(1100)
        assert (page.saved(1100), page.prime) == (file, prime)
    (session,) = saved_sessions.saved(file.parent)
    assert (session.length, session.has_work) == (1100, False)  # however long it is
    assert page.close(60)
    assert file.exists()  # as when the app is killed
    assert page.close(60, delete_unkept=True)
    assert not file.exists()


def test_text_that_is_written_in_while_another_is_opened_keeps_its_file(
    model: Path, page: SteppedPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.generate(30)
    file, load = page.saved(30), found_text.load
    monkeypatch.setattr(found_text, "load", lambda *arguments: (page.insert("own"), load(*arguments))[1])
    page.open(PlayRequest(str(model), prime="The"))
    page.insert("!")
    assert page.saved(1) != file
    assert "own" in text_of(file)


@pytest.mark.parametrize(
    ("content", "text", "said"),
    [
        ("\ufeffZoë\r\ncafe\u0301 £5\n".encode(), "Zoë\ncafé £5\n", ""),
        (b"one\x07 two\n", "one two\n", "1 control character left out."),
        (b"", "", ""),
    ],
)
def test_text_file_becomes_a_session(model: Path, player: SteppedPlayer, content: bytes, text: str, said: str) -> None:
    path = Path("page one.txt").absolute()
    path.write_bytes(content)
    played = player.play(model, session=path)
    assert (played.text.text.read(), played.prime_length, played.title, played.undoable) == (text, 0, "page one", "")
    assert set(played.text.text.sources()) <= {TYPED}
    assert played.note == said
    assert player.after(player.move, len(text)).file is None  # nothing was done to it
    player.insert("x")
    file = player.saved(len(text) + 1)
    assert saved_sessions.AUTO_NAME.fullmatch(file.name)
    assert player.close(60, delete_unkept=True)
    assert (text_of(file), session_file.read(file).state.summary.title) == (f"{text}x", "page one")
    assert path.read_bytes() == content


@pytest.mark.parametrize(("content", "said"), [(bytes(range(256)) * 20, "looks like binary data"), (None, "no file")])
def test_what_is_no_text_leaves_the_page(model: Path, page: SteppedPlayer, content: bytes | None, said: str) -> None:
    path = Path("page.txt").absolute()
    if content is not None:
        path.write_bytes(content)
    page.insert("own")
    assert said in page.play(model, session=path).failure
    assert page.line == "own"


@pytest.mark.parametrize("ending", [".json", ".txt"])
def test_text_that_was_saved_or_exported_is_kept(page: SteppedPlayer, tmp_path: Path, ending: str) -> None:
    page.generate(30)
    page.saved(30)
    page.save_as(tmp_path / f"mine{ending}", None)
    file = page.until(lambda p: p.edited and "mine" in p.note).file
    assert (file == tmp_path / "mine.json") is (ending == ".json")
    assert page.close(60, delete_unkept=True)
    assert file.exists()


def test_batch_of_an_order_that_does_not_stand_any_more_is_dropped(page: SteppedPlayer) -> None:
    order = page._orders._placed
    page.insert("own")
    page.take(Batch(order, added="late"))
    assert page.line == "own"


def test_generating_that_is_stopped_before_it_made_anything_is_no_step(page: SteppedPlayer) -> None:
    page.insert("own")
    page.stream()
    assert page.after(page.pause).undoable == "typing"


def test_candidates_stay_until_those_of_the_cursor_come_and_when_a_copy_has_learnt(page: SteppedPlayer) -> None:
    before = page.after(page.insert, "own text")
    page.move_by(-3)
    assert (page.played.distribution, page.played.is_current) == (before.distribution, False)
    after = page.finish()
    assert after.is_current
    assert after.distribution != before.distribution
    loaded = page.open_text.loaded
    copy = LearntModel(loaded.model, loaded.stepper, 1.0)  # which was begun in Write
    assert page.after(page.suggest_with, copy, page.played.session_id).is_current


def test_edit_ends_what_was_asked_of_the_model(page: SteppedPlayer) -> None:
    page.insert("the light")
    page.set_writing(True)
    found: list[Continuations] = []
    page.ways_on(2, 10, 1, 1, found.append)
    assert not page.keys_wait  # it changes nothing
    page.after(page.insert, " on")
    assert not found
    page.set_writing(False)
    page.regenerate(at(3))
    assert page.keys_wait
    assert page.cancel()
    page.finish()
    assert (page.line, page.keys_wait) == ("the light on", False)


def test_suggestions_come_at_the_end_of_each_paragraph(page: SteppedPlayer) -> None:
    page.set_writing(True)
    page.insert(" was grey.\nThe evening")
    within = page.after(page.move, 21)
    assert within.suggests
    assert within.suggestion
    assert within.read_to == within.size  # what follows is read too
    accepted = within.suggestion.split()[0]
    page.accept(within.suggestion[: within.suggestion.index(accepted) + len(accepted)])
    assert page.line.endswith(f"{accepted}\nThe evening")
    assert not page.after(page.move_by, -1).suggests
