"""Saved sessions whose model is gone, that were copied, and the model with which each is gone on with."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from charlstm_tui.app import CharLSTMApp
from charlstm_tui.choices import StartOptions
from charlstm_tui.generate.exports import file_name
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.player import saved_sessions
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
        await it.write_in(" words")
        await it.until(lambda: it.state.file is not None)
        await save(it, home / "bell.json")
        copied = Path(shutil.copy(home / "bell.json", run.sessions_dir / "bell.json"))
        await it.write_in(" and more")
        text = it.text
    later = time.time() + 60
    os.utime(copied, (later, later))
    left_off = saved_sessions.left_off()
    assert left_off is not None
    assert left_off.path == home / "bell.json"
    async with playing(run.path) as it:
        await it.until(lambda: it.screen.play.playing)
        await it.press("l", gives=text)


async def test_another_checkpoint_is_said_although_a_text_was_replaced(home: Path) -> None:
    run = record(home / "runs", "finished", name="novel-quick-1", steps=400).run
    async with playing(run.path) as it:
        await it.paused(10)
        it.desk.give_title("The bell")  # so that there is work in it
        await it.until(lambda: it.state.title == "The bell")
        await it.pilot.press("[")
        await it.until(lambda: it.state.facts is not None and it.state.facts.step == 200 and it.screen.play.playing)
        await it.pilot.pause()
        assert "l brings back your text   model 4 of 5: step 200" in it.status()


def test_title_is_offered_as_the_name_of_a_file() -> None:
    assert file_name("The bell / at dusk?") == "The bell at dusk"
