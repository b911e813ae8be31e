"""How well a cell followed its feature at some steps of the training, as bars from guessing to perfect, with chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.content import Content
from textual.widgets import Static

from charlstm.display import count
from charlstm.insight.cells import NamedCell
from charlstm.insight.sample import step_words
from charlstm_tui.widgets.bars import sparkline

ROWS = 3
"""Of a bar."""
WIDEST = 8
"""Cells of a bar and the space after it, at most."""


CHANCE = "┈"
"""Stands between the bars in the row in which chance is."""


class CellHistory(Static):
    """A bar for each step, with its score and the step under it; what is no better than chance is grey."""

    DEFAULT_CSS = """
    CellHistory { height: 7; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._shown: tuple[NamedCell | None, list[int], list[float], int, str] = (None, [], [], 0, "")

    def show(
        self, named: NamedCell | None, steps: Sequence[int], scores: Sequence[float], chosen: int, keys: str
    ) -> None:
        """Show the scores of a named cell; without one, the steps alone.

        Args:
            chosen: the index of the step whose colours are shown.
            keys: the keys that go to other steps.
        """
        self._shown = (named, list(steps), list(scores), chosen, keys)
        self._draw()

    def _draw(self) -> None:
        named, steps, scores, chosen, keys = self._shown
        if not steps:
            self.update(Content.styled("Reading the text with the models of the run …", "$quiet"))
            return
        what = "TRAINING" if named is None else f"TRAINING  {named.kind} of {named.feature}"
        lines = [Content.assemble((what, "bold $quiet"), ("  ", ""), (keys, "bold $primary"), (" step", "$quiet"))]
        width = min(WIDEST, max(2, (self.content_size.width or 40) // len(steps)))
        if named is not None:
            lines.append(Content.styled(_about(named, scores), "$quiet"))
            strengths = [named.strength(score) for score in scores]
            low = 0.5 if named.kind == "auc" else 0.0
            rows = sparkline(strengths, len(strengths), ROWS, low=low, high=1)
            line = ROWS - 1 - min(ROWS - 1, int((named.chance - low) / (1 - low) * ROWS))
            better = [named.better_than_chance(score) for score in scores]
            for index, row in enumerate(rows):
                parts = [
                    (cell * (width - 1) + " ", "$kept" if tells else "$quiet")
                    for cell, tells in zip(row.ljust(len(scores)), better, strict=True)
                ]
                if index == line:
                    parts = [(text.replace(" ", CHANCE), style) for text, style in parts]
                lines.append(Content.assemble(*parts))
            texts = [f"{strength:.2f}" for strength in strengths]
            lines.append(columns(texts, width, chosen, "bold $accent", others=""))
        names = [str(step) if step < 10_000 else count(step).replace(" ", "") for step in steps]
        lines.append(columns(names, width, chosen, "reverse"))
        self.update(Content("\n").join(lines))

    on_resize = _draw


def _about(named: NamedCell, scores: Sequence[float]) -> str:
    """``±0.02  ┈ chance 0.53, no step is better  named at step 5,088``."""
    words = f"{named.margin_words}  {CHANCE} chance {named.chance:.2f}".lstrip()
    if not named.can_be_judged:
        words += f", {named.spans_words}"
    elif not any(map(named.better_than_chance, scores)):
        words += ", no step is better"
    return words if named.step is None else f"{words}  named {step_words(named.step)}"


def columns(texts: Sequence[str], width: int, chosen: int | None, style: str, others: str = "$quiet") -> Content:
    """A line of texts, each in so many cells, with the one at the index ``chosen`` in another style."""
    parts = []
    for index, text in enumerate(texts):
        text = text[: width - 1]
        parts += [(text, style if index == chosen else others), (" " * (width - len(text)), "")]
    return Content.assemble(*parts)
