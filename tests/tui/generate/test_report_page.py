"""The page of the report, made by one key in Generate."""

import asyncio
import webbrowser
from pathlib import Path
from typing import Any

import pytest

from charlstm.runs.folder import RunFolder
from charlstm_tui.background import CommandError
from charlstm_tui.generate import report_page, screen
from charlstm_tui.generate.report_page import has_browser, open_page
from playing_app import playing


async def test_key_makes_the_page_on_the_shown_text_and_opens_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, commands, free = list[Path](), list[tuple[str, ...]](), asyncio.Event()

    async def command(name: str, model: str, text: str, out: str, page: str) -> None:
        commands.append((name, model, out))
        await free.wait()
        Path(page).write_text(Path(text).read_text())

    monkeypatch.setattr(report_page, "run_command", command)
    monkeypatch.setattr(screen, "open_page", lambda page: opened.append(page) or True)
    async with playing(model, paused=400) as app:
        await app.press("R", says="Making the page")
        await app.press("R", says="The page is being made")
        free.set()
        await app.says("Opened in the browser")
        assert commands == [("report", str(model), "--out")]
        assert opened[0].read_text() == app.text
        await app.press("s", until=lambda: app.screen.score.scores is not None)
        app.screen.score.score("The morning and the evening are here. " * 20, "another text")
        await app.until(lambda: app.screen.score.text_view.text().startswith("The morning and the evening"))
        await app.press("R", until=lambda: len(opened) == 2)
        assert opened[1].read_text() == app.screen.score.text_view.text()


async def test_short_text_gets_its_runs_page_and_says_failures(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []

    async def command(*argv: str) -> Any:
        commands.append(argv)
        if len(commands) == 1:
            raise CommandError("It did not work")

    monkeypatch.setattr(report_page, "run_command", command)
    async with playing(run.path, paused=20) as app:
        said: list[str] = []
        monkeypatch.setattr(app.screen, "show_message", lambda words, *how, **more: said.append(words))
        await app.press("R", until=lambda: "The page could not be made: It did not work" in said)
        assert commands[0][:3] == ("report", str(run.path), "--out")
        assert "pages" in commands[0][3]
        monkeypatch.setattr(screen, "open_page", lambda page: page.name == "novel-quick-1.html")
        await app.press("R")
        await app.until(lambda: said[-1].startswith("Opened in the browser, about the run's own text as this one is "))
        (making, _) = (sentence for sentence in said if "making one about the run's own text" in sentence)
        assert making.startswith("Too short for a page (under 200)")
        assert len(making) <= 78
        monkeypatch.setattr(screen, "open_page", open_page)
        monkeypatch.setenv("SSH_CONNECTION", "1 2 3 4")
        monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("opened over ssh"))
        await app.press("R", until=lambda: said[-1].startswith("No browser can be opened from here. The page: "))
        assert any("Open this page in a browser: " in each.message for each in app.app._notifications)


def test_a_browser_is_opened_only_where_it_has_a_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    monkeypatch.setattr(report_page.sys, "platform", "linux")
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
