"""One line that says how far a run is: a bar, per cent, the time gone and the time left. Nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.widget import Widget

from charlstm_tui.formatting import clock
from charlstm_tui.widgets.bars import bar


@dataclass(frozen=True)
class Progress:
    """``part`` 0…1, or ``None`` while nobody knows; ``words`` replaces the times when there are none to tell."""

    part: float | None = None
    gone: float | None = None
    left: float | None = None
    words: str = ""


class ProgressLine(Widget):
    """A bar to the last eighth of a cell. Feed it with :meth:`show`."""

    DEFAULT_CSS = """
    ProgressLine { height: 1; width: 1fr; color: $primary; }
    ProgressLine.-held { color: $accent; }
    ProgressLine.-done { color: $success; }
    ProgressLine.-broken { color: $error; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.progress = Progress()

    def show(self, progress: Progress) -> None:
        if progress != self.progress:
            self.progress = progress
            self.refresh()

    def render(self) -> Content:
        width, progress = self.size.width, self.progress
        facts = "  ".join(
            [
                f"{int(100 * progress.part):>3} %" if progress.part is not None else "",
                clock(progress.gone) if progress.gone is not None else "",
                f"left {clock(progress.left)}" if progress.left is not None else "",
                progress.words,
            ]
        ).strip()
        facts = "  ".join(facts.split("  ")) if facts else ""
        room = width - len(facts) - 2
        if room < 6:
            return Content(facts[:width])
        done = bar(progress.part or 0.0, room)
        return Content.assemble(done, ("─" * (room - len(done)), "$foreground 20%"), "  ", (facts, "$foreground"))
