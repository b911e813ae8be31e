"""One line that says how far a run is: a bar, per cent, the time so far and the time left."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from charlstm_tui.formatting import clock
from charlstm_tui.widgets.bars import bar


@dataclass(frozen=True)
class RunProgress:
    """``fraction``: 0 to 1, or ``None`` while it is not known. Times are in seconds; ``words`` stand beside them or
    in their place."""

    fraction: float | None = None
    elapsed: float | None = None
    left: float | None = None
    words: str = ""


class RunProgressLine(Widget):
    """A bar to the last eighth of a cell."""

    DEFAULT_CSS = """
    RunProgressLine { height: 1; width: 1fr; color: $primary; }
    RunProgressLine.-held { color: $accent; }
    RunProgressLine.-done { color: $success; }
    RunProgressLine.-broken { color: $error; }
    """

    progress: reactive[RunProgress] = reactive(RunProgress())

    def render(self) -> Content:
        width, progress = self.size.width, self.progress
        parts = [
            f"{int(100 * progress.fraction)} %" if progress.fraction is not None else "",
            clock(progress.elapsed) if progress.elapsed is not None else "",
            f"left {clock(progress.left)}" if progress.left is not None else "",
            progress.words,
        ]
        facts = "  ".join(filter(None, parts))
        space = width - len(facts) - 2
        if space < 6:
            return Content(facts[:width])
        done = bar(progress.fraction or 0.0, space)
        return Content.assemble(done, ("─" * (space - len(done)), "$foreground 20%"), "  ", (facts, "$foreground"))
