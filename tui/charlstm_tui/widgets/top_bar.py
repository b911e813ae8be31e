"""The first line of every screen: the modes, and on the right what is training now."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.content import Content
from textual.message import Message
from textual.style import Style
from textual.widget import Widget

from charlstm_tui.actions import MODES

IDLE = "no run"
"""The status when nothing trains."""


class TopBar(Widget):
    """`` charlstm  [1 Corpus]  2 Train …   ▶ run 42% 0:35``; names give way first when the terminal is narrow."""

    DEFAULT_CSS = "TopBar { height: 1; width: 100%; }"
    COMPONENT_CLASSES: ClassVar = {"top-bar--name", "top-bar--active", "top-bar--tab", "top-bar--status"}

    class ModeChosen(Message):
        """The tab of a mode was clicked."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._statuses: tuple[str, ...] = (IDLE,)

    def show_status(self, *statuses: str) -> None:
        """Say what is training, from the fullest wording to the shortest; the first that fits is shown."""
        if statuses != self._statuses:
            self._statuses = statuses
            self.refresh()

    def render(self) -> Content:
        width = self.size.width
        least = Content(self._statuses[-1]).cell_length + 2
        tabs = next((tabs for tabs in self._tabs() if tabs.cell_length + least <= width), self._tabs()[-1])
        room = width - tabs.cell_length - 2
        status = next((text for text in self._statuses if Content(text).cell_length <= room), "")
        style = self.get_visual_style("top-bar--tab" if status == IDLE else "top-bar--status")
        right = Content.styled(status, style) if status else Content("")
        gap = max(1, width - tabs.cell_length - right.cell_length - 1)
        return Content.assemble(tabs, " " * gap, right).truncate(width)

    def on_click(self, event: events.Click) -> None:
        if mode := event.style.meta.get("mode"):
            self.post_message(self.ModeChosen(mode))

    def _tabs(self) -> list[Content]:
        def tab(number: int, mode: str, title: str, full: bool) -> Content:
            active = mode == self._mode
            label = f"{number} {title}" if full or active else str(number)
            style = self.get_visual_style("top-bar--active" if active else "top-bar--tab")
            style += Style.from_meta({"mode": mode})
            return Content.styled(f"[{label}]" if active else f" {label} ", style)

        def row(full: bool) -> list[Content]:
            return [tab(number, mode, title, full) for number, (mode, title) in enumerate(MODES, 1)]

        name = Content.styled(" charlstm ", self.get_visual_style("top-bar--name"))
        return [
            Content(" ").join([name, *row(True)]),
            Content("").join(row(True)),
            Content("").join([Content(" "), *row(False)]),
            Content("").join(row(False)),
        ]
