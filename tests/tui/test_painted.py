"""The base of widgets that draw their own lines: each line is drawn once, until something changes."""

from __future__ import annotations

from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.strip import Strip
from textual.widget import Widget

from charlstm_tui.widgets.painted import Painted


class Lines(Painted, Widget):
    COMPONENT = "lines"
    COMPONENT_CLASSES = {"lines--loud"}  # noqa: RUF012
    DEFAULT_CSS = (
        "Lines { height: 4; & > .lines--loud { text-style: bold; } } Lines.-red > .lines--loud { color: red; }"
    )

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


async def test_lines_are_drawn_once_and_blank_below() -> None:
    async with Host().run_test() as pilot:
        lines = pilot.app.query_one(Lines)
        lines.repaint()
        before = lines.drawn
        assert shown(lines) == shown(lines) == ["one", "two", "", ""]
        assert lines.drawn == before + 1
        lines.words = ("three",)
        lines.repaint()
        assert shown(lines) == ["three", "", "", ""]


async def test_lines_are_drawn_again_in_another_style_or_size() -> None:
    async with Host().run_test() as pilot:
        lines = pilot.app.query_one(Lines)
        style = lines.render_line(0)._segments[0].style
        assert style is not None
        assert style.bold
        lines.add_class("-red")
        await pilot.pause()
        changed = lines.render_line(0)._segments[0].style
        assert changed is not None
        assert changed.color != style.color
        before = lines.drawn
        await pilot.resize_terminal(40, 20)
        await pilot.pause()
        shown(lines)
        assert lines.drawn > before
