"""An app with nothing but one widget, in the colours that the app gives to a theme."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from rich.console import Console
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget

from charlstm_tui.theme import DARK, LIGHT, legible_colours, own_variables

Hosted = TypeVar("Hosted", bound=Widget)


class Host(App[None]):
    """``colors`` is what the terminal has of them, as rich calls it."""

    def __init__(self, widget: Widget, theme: str = DARK.name, colors: str | None = "truecolor") -> None:
        super().__init__()
        self._hosted = widget
        self.console = Console(color_system=colors, force_terminal=True)
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {**super().get_theme_variable_defaults(), **own_variables(self.current_theme)}

    def get_css_variables(self) -> dict[str, str]:
        variables = super().get_css_variables()
        return {**variables, **legible_colours(self.current_theme, variables)}

    def compose(self) -> ComposeResult:
        yield self._hosted


@asynccontextmanager
async def hosted(
    widget: Hosted, size: tuple[int, int] = (30, 12), *, colors: str | None = "truecolor"
) -> AsyncIterator[tuple[Hosted, Pilot[None]]]:
    async with Host(widget, colors=colors).run_test(size=size) as pilot:
        await pilot.pause()
        yield widget, pilot


async def resize(pilot: Pilot[None], width: int, height: int) -> None:
    await pilot.resize_terminal(width, height)
    await pilot.pause()


def drawn_rows(widget: Widget) -> list[str]:
    """The lines of the widget as they are drawn."""
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]
