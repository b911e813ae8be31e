"""What Score, Cells and Context have in common: a text to read with the model, with a cursor, and a line above it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from textual import events, on
from textual.widgets import Static

from charlstm_tui.formatting import clock
from charlstm_tui.generate.explaining_view import ExplainingView
from charlstm_tui.generate.stream_view import StreamView


class ReadingView(ExplainingView):
    """A view of a text that stands still while it is read. Subclasses are its contents: what the text is coloured by,
    what ``head`` says, and what stands beside the text. ``moved`` shows the figures at the cursor."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.head = Static(id=f"{self.id}-head", classes="view-head")
        self._text = StreamView(id=f"{self.id}-text")
        self._text.add_class("view-text")
        self._jobs: dict[str, tuple[float, float]] = {}
        """Of the jobs that the head tells about: when each was begun, and how much of it is done, 0 to 1."""

    @property
    def text_view(self) -> StreamView:
        return self._text

    def moved(self) -> None:
        """The cursor is at another position, or the text is another one."""
        self.explain()
        self.post_message(self.Changed())

    def draw_head(self) -> None:
        """Say in the head what is shown, or what is being computed."""

    def begin(self, job: str) -> Callable[[float], None]:
        """Nothing is done of this job now; what is given tells how much is, from its thread."""
        begun = time.monotonic()
        self._jobs[job] = (begun, 0.0)
        return self.progress_teller(partial(self._show_done, job, begun))

    def _show_done(self, job: str, begun: float, share: float) -> None:
        self._jobs[job] = (begun, share)
        self.draw_head()

    def done_words(self, job: str) -> str:
        """How much of a job is done, and how long the rest will take: ``40 %, left 0:12``."""
        begun, share = self._jobs.get(job, (0.0, 0.0))
        left = f", left {clock((time.monotonic() - begun) * (1 - share) / share)}" if share else ""
        return f"{100 * share:.0f} %{left}"

    def put_cursor(self, position: int) -> None:
        """Put the cursor before the character at ``position``, in view."""
        self.text_view.cursor = position
        self.text_view.reveal(position)

    def do_walk(self, characters: int, lines: int) -> None:
        self.text_view.walk(characters, lines)
        self.moved()

    @on(StreamView.CursorMoved)
    def _cursor_moved(self, event: StreamView.CursorMoved) -> None:
        event.stop()
        self.moved()

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        """Other keys may act now."""
        self.post_message(self.Changed())
