"""How well a cell followed its feature at some steps of the training, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.content import Content
from textual.widgets import Static

from charlstm.insight.cells import NamedCell
from charlstm_tui.formatting import count
from charlstm_tui.widgets.bars import sparkline

ROWS = 3
"""Of a bar."""
WIDEST = 8
"""Cells of a bar and the space after it, at most."""


class CellHistory(Static):
    """A bar for each step, with its score and the step under it."""

    DEFAULT_CSS = """
    CellHistory { height: 7; }
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._shown: tuple[NamedCell | None, list[int], list[float], int, str] = (None, [], [], 0, "")

    def show(
        self, named: NamedCell | None, steps: Sequence[int], scores: Sequence[float], chosen: int, keys: str
    ) -> None:
        """Show the scores of a named cell; without one, the steps alone.

        Args:
            chosen: the place of the step whose colours are shown.
            keys: the keys that go to other steps.
        """
        self._shown = (named, list(steps), list(scores), chosen, keys)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        named, steps, scores, chosen, keys = self._shown
        if not steps:
            self.update(Content.styled("Reading the text with the models of the run …", "$quiet"))
            return
        what = "TRAINING" if named is None else f"TRAINING  {named.kind} of {named.feature}"
        lines = [Content.assemble((what, "bold $quiet"), (f"  {keys} step", "$quiet"))]
        width = min(WIDEST, max(2, (self.content_size.width or 40) // len(steps)))
        if named is not None:
            strengths = [abs(2 * score - 1) if named.kind == "auc" else abs(score) for score in scores]
            scores = [named.turned(score) for score in scores]
            rows = sparkline(strengths, len(strengths), ROWS, low=0, high=1)
            for row in rows:
                lines.append(Content.styled("".join(cell * (width - 1) + " " for cell in row), "$kept"))
            texts = [f"{score:.2f}" for score in scores]
            lines.append(Content.assemble(*_columns(texts, width, chosen, "bold $accent", "")))
        names = [str(step) if step < 10_000 else count(step).replace(" ", "") for step in steps]
        lines.append(Content.assemble(*_columns(names, width, chosen, "reverse", "$quiet")))
        self.update(Content("\n").join(lines))


def _columns(texts: Sequence[str], width: int, chosen: int, style: str, others: str) -> list[tuple[str, str]]:
    parts = []
    for place, text in enumerate(texts):
        text = text[: width - 1]
        parts += [(text, style if place == chosen else others), (" " * (width - len(text)), "")]
    return parts
