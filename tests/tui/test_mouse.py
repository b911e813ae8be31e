"""A click on a list acts on the row under the pointer, at every size, with borders, padding and scrolling."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.content import Content
from textual.widgets import OptionList

from charlstm_tui.dialogs import Choice, ChoiceDialog
from charlstm_tui.theme import DARK
from charlstm_tui.widgets.row_list import Row, RowList
from charlstm_tui.widgets.textual_repairs import SteadyOptionList
from driven_app import driven

FRAMES = ["", "border: solid red;", "border-top: solid red; padding: 1 2;", "padding: 2 0; margin: 1;"]


class Lists(App[None]):
    def __init__(self, frame: str) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.frame = frame

    def compose(self) -> ComposeResult:
        yield RowList()
        yield SteadyOptionList(*(f"option {n}." for n in range(30)), compact=True)

    def on_mount(self) -> None:
        rows = self.query_one(RowList)
        rows.show([Row(None, Content("CAPTION")), *(Row(f"{n}", Content(f"row {n}.")) for n in range(30))])
        options = self.query_one(OptionList)
        rows.styles.height = options.styles.height = "1fr"
        for line in filter(None, self.frame.split(";")):
            name, value = line.strip().split(": ")
            for widget in (rows, options):
                setattr(widget.styles, name.replace("-", "_"), ("solid", "red") if "solid" in value else _cells(value))


def _cells(value: str) -> tuple[int, ...] | int:
    cells = tuple(map(int, value.split()))
    return cells if len(cells) > 1 else cells[0]


def line_of(app: App[None], word: str) -> tuple[int, int]:
    """Where ``word`` begins on the screen."""
    strips = app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip) for strip in strips]
    y = next(y for y, line in enumerate(lines) if word in line)
    return lines[y].index(word), y


@pytest.mark.parametrize("size", [(40, 20), (80, 24), (150, 50)], ids=str)
@pytest.mark.parametrize("frame", FRAMES)
async def test_a_click_chooses_the_row_under_the_pointer(frame: str, size: tuple[int, int]) -> None:
    app = Lists(frame)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        rows, options = app.query_one(RowList), app.query_one(OptionList)
        for scrolled in (0, 3):
            rows.scroll_to(y=scrolled, animate=False)
            options.scroll_to(y=scrolled, animate=False)
            await pilot.pause()
            for n in (scrolled + 1, scrolled):
                await pilot.click(offset=line_of(app, f"row {n}."))
                assert rows.cursor == f"{n}"
                await pilot.click(offset=line_of(app, f"option {n}."))
                assert options.highlighted == n


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (150, 50)], ids=str)
async def test_a_click_in_a_dialog_gives_the_answer_under_the_pointer(places: Path, size: tuple[int, int]) -> None:
    answers: list[str] = []
    async with driven(places, size) as app:
        await app.in_mode("corpus")
        for wanted in ("first", "second", "third"):
            choices = [Choice(word[0], word, word) for word in ("first", "second", "third")]
            app.app.push_screen(ChoiceDialog("Which one?", "", choices), answers.append)
            await app.shows("Which one?", "third")
            await app.pilot.click(offset=line_of(app.app, wanted))
            await app.until(lambda: app.screen is app.mode)
            assert answers[-1] == wanted


async def test_a_click_chooses_the_preset_under_the_pointer(places: Path, tmp_path: Path) -> None:
    text = tmp_path / "work" / "mine.txt"
    text.write_text("some text of a few words\n" * 4000)
    async with driven(places, text=str(text)) as app:
        await app.shows("mine.txt")
        await app.press("enter")
        await app.in_mode("train")
        await app.shows("▸ quick", "standard", "best")
        for name in ("standard", "best", "quick"):
            await app.pilot.click(offset=line_of(app.app, f" {name} "))
            await app.shows(f"▸ {name}")
