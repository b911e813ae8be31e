"""The base of widgets that draw their own lines: each line is drawn once, until something changes."""

from __future__ import annotations

from typing import ClassVar

import pytest
from rich.color import Color
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from charlstm_tui.widgets.painted import Painted


class Lines(Painted, Widget):
    PARTS: ClassVar = {"loud": "bold", "faint": "white 50% on black 50%"}
    ANSI_PARTS: ClassVar = {"loud": "dim"}
    DEFAULT_CSS = "Lines { height: 4; background: white; } Lines.-red { color: red; }"

    def __init__(self) -> None:
        super().__init__()
        self.words = ("one", "two")
        self.drawn = 0

    def draw(self) -> list[Strip]:
        self.drawn += 1
        return [Strip([Segment(word, self.look("loud"))]) for word in self.words]


class Host(App[None]):
    def compose(self) -> ComposeResult:
        yield Lines()


def shown(lines: Lines) -> list[str]:
    return [lines.render_line(y).text.strip() for y in range(4)]


async def test_only_lines_that_changed_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Host().run_test() as pilot:
        lines = pilot.app.query_one(Lines)
        assert shown(lines) == ["one", "two", "", ""]
        sent: list[Region] = []
        monkeypatch.setattr(lines, "refresh", lambda *regions: sent.extend(regions))
        lines.repaint_changed()
        assert sent == []
        lines.words = ("one", "2", "three")
        lines.repaint_changed()
        assert [(region.y, region.height) for region in sent] == [(1, 1), (2, 1)]
        assert shown(lines) == ["one", "2", "three", ""]


async def test_what_is_transparent_in_a_part_shows_the_background_of_the_widget() -> None:
    async with Host().run_test() as pilot:
        style = pilot.app.query_one(Lines).part_style("faint")
        assert style.bgcolor == Color.parse("#7f7f7f")
        assert style.color == Color.parse("#bfbfbf")


async def test_a_part_may_look_otherwise_in_the_colours_of_the_terminal() -> None:
    async with Host().run_test() as pilot:
        lines = pilot.app.query_one(Lines)
        assert (lines.part_style("loud").bold, lines.part_style("loud").dim) == (True, None)
        pilot.app.theme = "ansi-dark"
        await pilot.pause()
        assert (lines.part_style("loud").bold, lines.part_style("loud").dim) == (None, True)
