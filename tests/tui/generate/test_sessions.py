"""Saved sessions whose model is gone, that were copied, and the model with which each is gone on with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import Input, TextArea

from charlstm_tui.app import CharLSTMApp
from charlstm_tui.choices import StartOptions
from charlstm_tui.generate.screen import GenerateScreen
from charlstm_tui.generate.session_text_dialog import SessionTextDialog
from charlstm_tui.save_dialog import SaveDialog
from playing_app import Session, playing


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
    it.screen.player.save_as(path, "rank")
    await it.until(path.is_file)
    return it.text


@pytest.mark.parametrize("has_demo", [True, False])
async def test_text_of_a_session_whose_model_is_gone_is_shown_and_exported(
    model: Path, home: Path, monkeypatch: pytest.MonkeyPatch, has_demo: bool
) -> None:
    async with playing(model) as it:
        await it.paused(40)
        it.screen.player.give_title("The bell")
        text = await save(it, home / "bell.json")
    model.rename(home / "moved")
    if not has_demo:  # whose characters are others
        monkeypatch.setattr("charlstm_tui.generate.screen.demo_path", lambda: None)
    async with opened(home / "bell.json") as it:
        await it.until(lambda: isinstance(it.app.screen, SessionTextDialog))
        assert it.app.screen.query_one(TextArea).text == text
        assert "tiny" in it.screen_text()
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SaveDialog))
        assert it.app.screen.query_one(Input).value == "The bell.txt"
        await it.pilot.press("enter")
        await it.until((home / "The bell.txt").is_file)
        assert (home / "The bell.txt").read_text() == text
        await it.until(lambda: "Exported to The bell.txt" in it.screen.message)


async def test_text_of_a_session_whose_model_is_gone_is_shown_above_what_is_played(model: Path, home: Path) -> None:
    async with playing(model) as it:
        await it.paused(40)
        text = await save(it, home / "bell.json")
    model.rename(home / "moved")
    async with playing("demo") as it:
        await it.until(lambda: it.screen.play.playing)
        await it.paused(20)
        here = it.text
        it.app.open_session(home / "bell.json")
        await it.until(lambda: isinstance(it.app.screen, SessionTextDialog))
        assert it.app.screen.query_one(TextArea).text == text
        await it.pilot.press("escape")
        await it.until(lambda: it.app.screen is it.screen)
        assert it.text == here
