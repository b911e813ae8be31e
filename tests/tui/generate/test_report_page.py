"""The page of the report, made by one key in Generate."""

from __future__ import annotations

import re
import webbrowser
from pathlib import Path
from typing import Any

import pytest

from charlstm_tui.background import CommandError
from charlstm_tui.generate import report_page, screen
from charlstm_tui.generate.report_page import has_browser, open_page
from playing_app import playing
from recorded_run import record


async def test_a_key_makes_the_page_on_the_text_that_is_shown_and_opens_it(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(screen, "open_page", lambda page: opened.append(page) or True)
    async with playing(model) as it:
        await it.paused(400)
        await it.pilot.press("R")
        assert "Making the page" in it.status()
        assert not it.screen._message_is_error
        await it.pilot.press("R")
        await it.until(lambda: bool(opened))
        await it.until(lambda: "Opened in the browser" in it.status())
        page = opened[0].read_text(encoding="utf-8")
        assert "Inside tiny.safetensors" in page
        assert "characters of text-in-the-app.txt" in page
        assert len(opened) == 1
        await it.pilot.press("s")
        await it.until(lambda: it.screen.score.scores is not None)
        it.screen.score.score("The morning and the evening are here. " * 20, "another text")
        await it.until(lambda: it.screen.score.text_view.text().startswith("The morning and the evening"))
        await it.pilot.press("R")
        await it.until(lambda: len(opened) == 2)
        assert "evening" in re.sub("<[^>]+>", "", opened[1].read_text(encoding="utf-8"))


async def test_a_short_text_of_a_run_is_left_for_the_runs_own_and_a_failure_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []

    async def command(*argv: str) -> Any:
        commands.append(argv)
        raise CommandError("It did not work")

    monkeypatch.setattr(report_page, "run_command", command)
    run = record(home / "runs", "finished", name="novel-quick-1", steps=100).run
    async with playing(run.path) as it:
        await it.paused(20)
        await it.press("R", says="The page could not be made: It did not work")
        assert commands[0][:3] == ("report", str(run.path), "--out")
        assert "pages" in commands[0][3]

        async def made(*argv: str) -> Any:
            return {}

        monkeypatch.setattr(report_page, "run_command", made)
        monkeypatch.setattr(screen, "open_page", lambda page: True)
        said: list[str] = []
        monkeypatch.setattr(it.screen, "show_message", lambda sentence, *how, **more: said.append(sentence))
        await it.pilot.press("R")
        await it.until(lambda: said[-1].startswith("Opened in the browser, about the run's own text as this one is "))
        (making,) = (sentence for sentence in said if "making one about the run's own text" in sentence)
        assert making.startswith("Too short for a page (under 200)")
        assert len(making) <= 78


async def test_where_there_is_no_browser_the_file_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def made(*argv: str) -> Any:
        return {}

    monkeypatch.setattr(report_page, "run_command", made)
    monkeypatch.setenv("SSH_CONNECTION", "1 2 3 4")
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("opened over ssh"))
    async with playing(model) as it:
        await it.paused(20)
        await it.press("R", says="No browser can be opened from here. The page: ")


def test_a_browser_is_opened_only_where_it_has_a_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    monkeypatch.setattr(report_page.sys, "platform", "linux")
    for name in ("SSH_CONNECTION", "SSH_TTY", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.BackgroundBrowser("x"))
    assert not has_browser()
    monkeypatch.setenv("DISPLAY", ":0")
    assert open_page(tmp_path / "a b.html")
    assert opened == [(tmp_path / "a b.html").as_uri()]
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("w3m"))
    assert not has_browser(), "it would take the terminal"
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.BackgroundBrowser("x"))
    monkeypatch.setenv("SSH_TTY", "/dev/pts/1")
    assert not has_browser()
