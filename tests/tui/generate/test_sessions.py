"""Saved sessions whose model is gone, that were copied, and the model with which each is gone on with."""

import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.generation.clamp import Clamp
from charlstm.generation.session_file import SessionState, write
from charlstm.runs.folder import RunFolder
from charlstm_tui.app import CharLSTMApp
from charlstm_tui.choices import StartOptions
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.generate.session_files import file_name
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.opening import model_of_session
from played_documents import about, played
from playing_app import PlayingApp, playing
from stepped_player import SteppedPlayer


def save(path: Path, model: Path, clamps: tuple[Clamp, ...] = (), **values: object) -> str:
    """Write the file of a session that was played with ``model``; returns its text."""
    document = played()
    summary = replace(about(document), model=str(model), edited=True, **values)
    write(path, SessionState(document, summary, clamps=clamps))
    return document.text.read()


@asynccontextmanager
async def opened(path: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[PlayingApp]:
    """The app as ``charlstm-tui PATH`` starts it."""
    app = CharLSTMApp(StartOptions(session=path))
    async with app.run_test(size=size) as pilot:
        app = PlayingApp(app, pilot)
        await app.until(lambda: isinstance(app.app.mode_screen, GenerateScreen))
        yield app


@pytest.mark.parametrize("from_play", [False, True])
async def test_session_whose_model_is_gone_goes_on_with_the_one_that_is_there(home: Path, from_play: bool) -> None:
    text = save(home / "bell.json", home / "tiny.safetensors", title="The bell")
    async with playing("demo") if from_play else opened(home / "bell.json") as app:
        if from_play:
            await app.paused(20)
            app.app.open_session(home / "bell.json")
        await app.until(lambda: app.screen.play.playing and app.text == text)
        assert (app.state.title, app.model_name, app.state.running) == ("The bell", "demo", False)
        assert "Its model tiny is not there: it goes on with demo" in app.screen.message
        await app.until(lambda: app.state.read_to == app.state.size)


async def test_session_is_opened_by_its_path_on_the_run_that_it_lies_in(model: Path, run: RunFolder) -> None:
    run.sessions_dir.mkdir()
    text = save(run.sessions_dir / "mine.json", run.path)
    async with playing(model, paused=3) as app:
        await app.enter("o", str(run.sessions_dir / "mine.json"))
        await app.until(lambda: app.text == text and app.state.facts.run == run.path)


async def test_session_goes_on_with_the_checkpoint_that_it_was_played_with(home: Path, run: RunFolder) -> None:
    async with playing(run.path) as app:
        await app.paused(10)
        app.player.give_title("The bell")  # so that there is work in it
        await app.until(lambda: app.state.title == "The bell")
        await app.press("[", until=lambda: app.step == 200 and app.screen.play.playing)
        await app.pilot.pause()
        assert "l brings back your text   model 4 of 5: step 200" in app.status()
        await app.until(lambda: app.state.length == 1000 and not app.state.running)
        text, file = app.text, await app.file()
        app.player.give_title("a storm")
    async with opened(file) as app:
        await app.until(lambda: app.screen.play.playing and app.text == text)
        assert app.step == 200
        await app.press("]", until=lambda: app.step == 400 and app.screen.play.playing)
        await app.press("l", gives=text)  # of the same run, and played with another step
        assert app.step == 200
    [snapshot] = [each for each in run.snapshots() if each.step == 200]
    snapshot.path.rename(home / "moved")
    async with opened(file) as app:
        await app.until(lambda: app.screen.play.playing and app.text == text)
        await app.until(lambda: "novel-quick-1 @ step 200 is not there: it goes on with step 400" in app.screen.message)


def test_an_edited_session_goes_on_with_the_checkpoint_that_was_chosen_last(run: RunFolder) -> None:
    player = SteppedPlayer(saves=True)
    player.play(run.path)
    player.insert("words")
    file = player.saved(5)
    player.load_checkpoint(-1)
    player.until(lambda p: p.facts.step == 200)
    player.close_whole()
    assert model_of_session(file) == (str(run.path), 200)


def test_cells_that_were_held_are_held_again(model: Path, home: Path) -> None:
    held = (Clamp(1, 2, value=0.5),)
    save(home / "bell.json", model, held)
    assert SteppedPlayer().play(model, session=home / "bell.json").clamps == held


def test_session_finds_its_run_that_was_moved_to_the_folder_of_runs(home: Path, run: RunFolder) -> None:
    save(home / "bell.json", home / "elsewhere" / run.name)
    assert model_of_session(home / "bell.json") == (run.name, None)


def test_file_of_ones_own_is_what_was_worked_on_last_and_not_an_older_copy(home: Path, run: RunFolder) -> None:
    mine, now = home / "bell.json", time.time()
    save(mine, run.path, saved=now - 60)
    run.sessions_dir.mkdir()
    copied = Path(shutil.copy(mine, run.sessions_dir / "bell.json"))
    os.utime(copied, (now + 60, now + 60))
    save(mine, run.path, saved=now)
    saved_sessions.remember(mine)
    assert saved_sessions.left_off().path == saved_sessions.last(run.sessions_dir).path == mine


def test_title_is_offered_as_the_name_of_a_file() -> None:
    assert file_name("The bell / at dusk?") == "The bell at dusk"
