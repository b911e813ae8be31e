"""The base of widgets that draw their own lines: how their parts look."""

from typing import ClassVar

from rich.color import Color
from textual.strip import Strip
from textual.widget import Widget

from charlstm_tui.widgets.painted import Painted
from hosted_widget import hosted


class Lines(Painted, Widget):
    PARTS: ClassVar = {"loud": "bold", "faint": "white 50% on black 50%"}
    ANSI_PARTS: ClassVar = {"loud": "dim"}
    DEFAULT_CSS = "Lines { background: white; }"

    def draw(self) -> list[Strip]:
        return []


async def test_what_is_transparent_shows_the_background_and_the_colours_of_the_terminal_may_have_another_look() -> None:
    async with hosted(Lines()) as (lines, pilot):
        faint = lines.part_style("faint")
        assert (faint.bgcolor, faint.color) == (Color.parse("#7f7f7f"), Color.parse("#bfbfbf"))
        assert (lines.part_style("loud").bold, lines.part_style("loud").dim) == (True, None)
        pilot.app.theme = "ansi-dark"
        await pilot.pause()
        assert (lines.part_style("loud").bold, lines.part_style("loud").dim) == (None, True)
