"""The dialog that asks for a file: formats and name agree, and what cannot be saved is said before anything is lost."""

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from textual.app import App
from textual.widgets import Input, OptionList, Static

from charlstm_tui.dialogs import ChoiceDialog
from charlstm_tui.formatting import shorten
from charlstm_tui.save_dialog import Format, SaveDialog
from driven_app import driven

FORMATS = [Format(".txt", "text", joins_lines=True), Format(".html", "colours"), Format(".json", "session")]


async def test_formats_and_name_agree_and_the_folder_is_in_sight(tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text("mine")
    app: App[None] = App()
    answers: list[Any] = []
    async with app.run_test() as pilot:
        dialog = SaveDialog("Save", "novel.txt", FORMATS)
        await app.push_screen(dialog, answers.append)
        line, formats = dialog.query_one(Input), dialog.query_one(OptionList)

        def problem() -> str:
            return str(dialog.query_one(".dialog-error", Static).content)

        await pilot.press("down", "down")
        assert (line.value, formats.highlighted) == ("novel.json", 2)
        await pilot.press("down")
        assert (line.value, formats.highlighted) == ("novel.txt", 0)
        line.value = f"{tmp_path}/other.html"
        await pilot.pause()
        assert formats.highlighted == 1
        folder = dialog.query_one(".dialog-folder", Static)
        assert str(folder.content) == f"In {shorten(str(tmp_path), folder.size.width - 3)}"
        for name, words in [
            ("", "Give the file a name."), ("-", "Standard output is this terminal"), (str(tmp_path), "is a folder"),
            ("a.pdf", "Let the name end in .txt or .html or .json."), (f"{tmp_path}/there.html/a", "Not a dir"),
        ]:  # fmt: skip
            line.value = name
            await pilot.press("enter")
            assert words in problem()
        line.value = f"{tmp_path}/there"  # without an ending it gets the chosen one
        await pilot.press("enter")
        assert isinstance(app.screen, ChoiceDialog)
        await pilot.press("enter")
        assert (app.screen, answers) == (dialog, [])
        await pilot.press("enter", "y")
        await pilot.pause()
    assert answers == [tmp_path / "there.html"]


async def test_a_picture_of_the_screen_is_saved(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with driven(places) as app:
        await app.in_mode("corpus")
        await app.press("ctrl+t", "ctrl+t", "ctrl+t", shows="Save a picture")
        assert len(app.app.screen_stack) == 2, "it asks once"
        await app.answer("screen.svg", until=lambda: app.screen is app.mode and Path("screen.svg").exists())
        monkeypatch.setattr("charlstm_tui.app.user_files.save_text", lambda *_: os.open("/no/folder", os.O_RDONLY))
        await app.press("ctrl+t", shows="Save a picture")
        await app.press("enter", shows="No such file")
    assert ElementTree.parse("screen.svg").getroot().tag.endswith("svg")


async def test_a_folder_that_is_gone_is_said_at_save_and_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app ended with a traceback."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setenv("PWD", str(gone))
    async with driven(tmp_path / "runs") as app:
        gone.rmdir()
        await app.press("ctrl+t", shows="Save a picture")
        await app.press("a", "enter", shows="There is no folder")
        await app.press("escape", "1", shows="BUILT IN")
        await app.enter("o", "tale.txt", shows="No such file or directory.")
        await app.press("x", lacks="No such file")


async def test_a_key_says_whether_the_lines_of_a_paragraph_are_joined() -> None:
    app: App[None] = App()
    async with app.run_test() as pilot:
        dialog = SaveDialog("Save", "novel.txt", FORMATS)
        await app.push_screen(dialog)
        words = dialog.query_one(".dialog-lines", Static)
        for joined in (True, False, True):
            await pilot.press("ctrl+l")
            assert (dialog.joins_lines, "joined" in str(words.content), words.visible) == (joined, joined, True)
        await pilot.press("down", "ctrl+l")  # another format, whose lines are never joined
        assert (dialog.joins_lines, words.visible) == (True, False)
        await app.push_screen(SaveDialog("Save", "novel.svg", FORMATS[1:]))
        assert not app.screen.query(".dialog-lines")
