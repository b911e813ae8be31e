"""Saved sessions whose model is gone, that were copied, and the model with which each is gone on with."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import Input

from charlstm_tui.app import CharLSTMApp
from charlstm_tui.choices import StartOptions
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.player import saved_sessions
from charlstm_tui.save_dialog import SaveDialog
from playing_app import Session, playing
from recorded_run import record


@asynccontextmanager
async def opened(path: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Session]:
    """The app as ``charlstm-tui PATH`` starts it."""
    app = CharLSTMApp(StartOptions(session=path))
    async with app.run_test(size=size) as pilot:
        it = Session(app, pilot)
        await it.until(lambda: isinstance(app.mode_screen, GenerateScreen))
        yield it


async def save(it: Session, path: Path) -> str:
    """Save the session as a file; returns its text."""
    it.desk.save_as(path, "rank")
    await it.until(lambda: it.state.file == path)
    return it.text


@pytest.mark.parametrize("played", [False, True])
async def test_session_whose_model_is_gone_goes_on_with_the_one_that_is_there(
    model: Path, home: Path, played: bool
) -> None:
    async with playing(model) as it:
        await it.paused(40)
        it.desk.give_title("The bell")
        text = await save(it, home / "bell.json")
    model.rename(home / "moved")
    async with playing("demo") if played else opened(home / "bell.json") as it:
        if played:
            await it.paused(20)
            it.app.open_session(home / "bell.json")
        await it.until(lambda: it.screen.play.playing and it.text == text)
        assert (it.state.title, it.state.facts and it.state.facts.name) == ("The bell", "demo")
        assert "Its model tiny is not there: it goes on with demo" in it.screen.message
        await it.until(lambda: it.state.read_to == it.state.size)


async def test_session_goes_on_with_the_checkpoint_that_it_was_played_with(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    async with playing(run.path) as it:
        await it.paused(10)
        await it.pilot.press("[")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 200 and it.screen.play.playing)
        await it.until(lambda: it.state.length == 1000 and not it.state.running and it.state.file is not None)
        text, file = it.text, it.state.file
        assert file is not None
        it.desk.give_title("a storm")
    async with opened(file) as it:
        await it.until(lambda: it.screen.play.playing and it.text == text)
        assert it.state.facts is not None
        assert it.state.facts.step == 200
        await it.pilot.press("]")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 400 and it.screen.play.playing)
        await it.pilot.press("l")  # of the same run, and played with another step
        await it.until(lambda: it.text == text and it.state.facts is not None and it.state.facts.step == 200)
    [snapshot] = [each for each in run.snapshots() if each.step == 200]
    snapshot.path.rename(home / "moved")
    async with opened(file) as it:
        await it.until(lambda: it.screen.play.playing and it.text == text)
        await it.until(lambda: "novel-quick-1 @ step 200 is not there: it goes on with step 400" in it.screen.message)


async def test_an_edited_session_goes_on_with_the_checkpoint_that_was_chosen_last(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    async with playing(run.path) as it:
        await it.paused(10)
        await it.pilot.press("w", *" words", "escape", "escape", "[")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 200 and it.screen.play.playing)
        await it.until(lambda: it.state.file is not None)
        text, file = it.text, it.state.file
        assert file is not None
    async with opened(file) as it:
        await it.until(lambda: it.screen.play.playing and it.text == text)
        assert it.state.facts is not None
        assert it.state.facts.step == 200


async def test_session_whose_best_model_is_gone_says_with_which_step_it_goes_on(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=450).run
    async with playing(run.path) as it:
        await it.paused(10)
        it.desk.give_title("a storm")
        await it.until(lambda: it.state.file is not None)
        assert it.state.facts is not None
        best, file = it.state.facts.step, it.state.file
        assert file is not None
    run.model_path.rename(home / "moved.safetensors")
    async with opened(file) as it:
        await it.until(lambda: it.screen.play.playing)
        assert it.state.facts is not None
        assert it.state.facts.step != best
        await it.until(lambda: f"@ step {best} is not there: it goes on with step" in it.screen.message)


async def test_session_goes_on_with_another_model_only_when_it_says_so(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        text = await save(it, home / "bell.json")
    model.rename(home / "moved")
    run = record(home / "runs", "finished", name="novel-quick-1", steps=100).run
    async with playing(run.path) as it:
        await it.until(lambda: it.screen.play.playing)
        it.app.open_session(home / "bell.json")
        await it.until(lambda: it.text == text)
        await it.until(lambda: "Its model tiny is not there: it goes on with novel-quick-1 @" in it.screen.message)


async def test_session_finds_its_run_that_was_moved_to_the_folder_of_runs(home: Path) -> None:
    run = record(home / "elsewhere", "finished", name="novel-quick-1", steps=100).run
    async with playing(run.path) as it:
        await it.paused(10)
        text = await save(it, home / "bell.json")
    (home / "runs").mkdir(exist_ok=True)
    shutil.move(run.path, home / "runs" / run.name)
    async with opened(home / "bell.json") as it:
        await it.until(lambda: it.screen.play.playing and it.text == text)
        assert it.state.facts is not None
        assert it.state.facts.run == home / "runs" / run.name


async def test_file_of_ones_own_is_what_was_worked_on_last_and_not_an_older_copy(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=100).run
    async with playing(run.path) as it:
        await it.paused(10)
        await it.pilot.press("w", *" words", "escape", "escape")
        await it.until(lambda: it.state.file is not None and it.screen.view_name == "play")
        await save(it, home / "bell.json")
        copied = Path(shutil.copy(home / "bell.json", run.sessions_dir / "bell.json"))
        await it.pilot.press("w", *" and more", "escape", "escape")
        await it.until(lambda: it.text.endswith(" and more"))
        text = it.text
    later = time.time() + 60
    os.utime(copied, (later, later))
    left_off = saved_sessions.left_off()
    assert left_off is not None
    assert left_off.path == home / "bell.json"
    async with playing(run.path) as it:
        await it.until(lambda: it.screen.play.playing)
        await it.pilot.press("l")
        await it.until(lambda: it.text == text)


async def test_title_stands_in_play_and_write_on_a_small_screen(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    async with playing(run.path, (80, 24)) as it:
        await it.paused(200)
        await it.pilot.press("f2", *"the bell of Osier", "enter")
        await it.until(lambda: "“the bell of Osier”" in it.screen_text())
        await it.until(lambda: "Title: the bell of Osier" in it.screen.message)
        await it.pilot.press("w")
        await it.until(lambda: "Esc hide suggestion" in it.screen_text())
        assert "“the bell" in it.screen_text()


async def test_what_was_cut_in_one_session_is_not_said_of_another(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(40)
        await it.pilot.press("w", *["left"] * 5, "ctrl+r")
        await it.until(lambda: "Cut 5 characters" in it.screen.message)
        await it.pilot.press("escape", "escape")
        await it.until(lambda: it.screen.view_name == "play")
        it.screen.show_message("")
        it.screen.play.open("demo", None, None, None)
        await it.until(lambda: it.state.facts is not None and it.state.facts.name == "demo" and it.screen.play.playing)
        await it.pilot.pause()
        assert "Cut" not in it.screen.message


async def test_another_checkpoint_is_said_although_a_text_was_replaced(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    async with playing(run.path) as it:
        await it.paused(10)
        it.desk.give_title("The bell")  # so that there is work in it
        await it.until(lambda: it.state.title == "The bell")
        await it.pilot.press("[")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 200 and it.screen.play.playing)
        await it.pilot.pause()
        assert "checkpoint 4 of 5: step 200" in it.screen.message
        assert "●─  checkpoint 4 of 5: step 200   l brings back your text" in it.status()


async def test_where_there_is_little_space_the_key_that_brings_a_text_back_comes_before_the_checkpoint(
    home: Path,
) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    async with playing(run.path, (60, 24)) as it:
        await it.paused(10)
        it.desk.give_title("The bell")  # so that there is work in it
        await it.until(lambda: it.state.title == "The bell")
        await it.pilot.press("[")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 200 and it.screen.play.playing)
        await it.until(lambda: it.status().startswith("l brings back your text   checkpoint 4 of 5"))


async def test_long_title_leaves_room_for_what_stands_beside_the_others(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        await it.pilot.press("w", *" words", "escape", "escape")
        await it.until(lambda: it.state.file is not None)
        it.desk.give_title("A title of many words " * 4)
        await it.until(lambda: bool(it.state.title))
        await it.pilot.press("e", "end", "x", "enter")
        await it.until(lambda: it.prime.endswith("x"))
        await it.pilot.press("w", *" others", "escape", "escape")
        await it.until(lambda: it.state.file is not None and it.screen.view_name == "play")
        await it.pilot.press("O")
        await it.until(lambda: "A title of many words A tit…" in it.screen_text())
        rows = [line for line in it.screen_text().splitlines() if "word" in line and "tiny ·" in line]
        assert len(rows) == 2


async def test_folder_of_a_run_that_is_gone_is_not_named_when_saving(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=100).run
    async with playing(run.path) as it:
        await it.paused(10)
        await it.until(lambda: it.state.file is not None)
        await it.pilot.press("ctrl+s")
        await it.until(lambda: "lists the sessions in" in it.screen_text())
        await it.pilot.press("escape")
        shutil.move(run.path, home / "moved")
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog))
        await it.until(lambda: "Esc cancel" in it.screen_text())
        assert "lists the sessions in" not in it.screen_text()
        await it.pilot.press("escape", "w", *" words", "escape", "escape")
        await it.until(lambda: it.state.file is not None and not it.state.file.is_relative_to(run.path))
        await it.pilot.press("ctrl+s")
        await it.until(lambda: "lists the sessions in" in it.screen_text())
        assert "novel-quick-1/sessions" not in it.screen_text()


async def test_file_that_is_offered_is_that_of_this_text(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(10)
        it.desk.give_title("The bell / at dusk?")
        await it.until(lambda: bool(it.state.title))
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog))
        assert it.app.screen.query_one(Input).value.endswith("The bell at dusk.txt")
        await it.pilot.press("escape")
        await save(it, home / "bell.json")
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog))
        assert it.app.screen.query_one(Input).value.endswith("bell.json")
        await it.until(lambda: "the text is saved there by itself" in it.screen_text())
