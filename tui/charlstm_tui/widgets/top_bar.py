"""The first line of every screen: the modes, and on the right what is training now."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive, var
from textual.style import Style
from textual.widget import Widget

from charlstm_tui.actions import MODES, key_of
from charlstm_tui.formatting import IDLE, status_words
from charlstm_tui.run_watcher import RunsState


class TopBar(Widget):
    """`` charlstm  [1 Corpus]  2 Train …   ▶ run 42% 0:35``; names give way first when the terminal is narrow."""

    DEFAULT_CSS = "TopBar { height: 1; width: 100%; }"

    runs_state: var[RunsState] = var(RunsState())
    statuses: reactive[tuple[str, ...]] = reactive((IDLE,))
    """What it says of training, from the fullest wording to the shortest."""

    class ModeChosen(Message):
        """The tab of a mode was clicked."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def watch_runs_state(self) -> None:
        self.statuses = status_words(self.runs_state)

    def render(self) -> Content:
        """The tabs, and the fullest wording of the status that fits beside them."""
        width, statuses = self.size.width, self.statuses
        least = Content(statuses[-1]).cell_length + 2
        tabs = next((tabs for tabs in self._tabs() if tabs.cell_length + least <= width), self._tabs()[-1])
        free = width - tabs.cell_length - 2
        status = next((text for text in statuses if Content(text).cell_length <= free), "")
        style = Style.parse("$quiet" if status == IDLE else "$success")
        right = Content.styled(status, style) if status else Content("")
        gap = max(1, width - tabs.cell_length - right.cell_length - 1)
        return Content.assemble(tabs, " " * gap, right).truncate(width)

    def on_click(self, event: events.Click) -> None:
        if mode := event.style.meta.get("mode"):
            self.post_message(self.ModeChosen(mode))

    def _tabs(self) -> list[Content]:
        name = Content.styled(" charlstm ", "bold $accent")
        full, short = ([self._tab(*mode, full) for mode in MODES] for full in (True, False))
        return [
            Content(" ").join([name, *full]),
            Content("").join(full),
            Content("").join([Content(" "), *short]),
            Content("").join(short),
        ]

    def _tab(self, mode: str, title: str, full: bool) -> Content:
        active, key = mode == self._mode, key_of(f"app.mode_{mode}")
        label = f"{key} {title}" if full or active else key
        style = Style.parse("bold $foreground" if active else "$quiet")
        style += Style.from_meta({"mode": mode})
        return Content.styled(f"[{label}]" if active else f" {label} ", style)
