"""Earlier runs on the text of the run that is shown, as faint validation curves behind its own."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.content import Content

from charlstm.display import visible
from charlstm.errors import RunError
from charlstm.runs.log import read_events
from charlstm.runs.series import Curve, RunSeries, XAxis
from charlstm_tui.formatting import best_loss, shorten
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.widgets.chart_painting import ChartRun

MOST = 5
"""More curves behind the run's own could not be told apart."""
LONGEST_NAME, SHORTEST_NAME = 24, 5


@dataclass(frozen=True, eq=False)
class OtherRun:
    """Another run, with the letter that marks its curve."""

    letter: str
    view: RunView
    series: RunSeries

    def on_chart(self, axis: XAxis, end: float) -> ChartRun:
        """Its validation curve up to ``end`` on the x axis, to be compared with a run that has come so far."""
        curve = self.series.curve("validation", axis)
        known = curve.x <= end
        return ChartRun(self.letter, self.colour, Curve(curve.x[known], curve.y[known]), faint=True)

    @property
    def colour(self) -> int:
        """The number of its colour."""
        return string.ascii_lowercase.index(self.letter)


def runs_on_same_text(state: RunsState, path: Path | None) -> tuple[RunView, ...]:
    """The newest other runs that have trained on the text of the run in ``path``."""
    shown = state.find(path)
    if shown is None or shown.problem:
        return ()
    text = shown.text, shown.sources
    found = (view for view in state.runs if view.path != path and (view.text, view.sources) == text)
    return tuple(view for view in found if view.status.step)[:MOST]


def read_other_runs(views: Sequence[RunView]) -> tuple[OtherRun, ...]:
    """Read the logs of these runs; one that cannot be read is left out, as its row in Runs says why."""
    found = []
    for view in views:
        try:
            found.append((view, RunSeries.of(read_events(view.run.events_path))))
        except RunError:
            continue
    return tuple(OtherRun(letter, *each) for letter, each in zip(string.ascii_lowercase, found, strict=False))


def legend(others: Sequence[OtherRun], bits: bool, width: int) -> Content:
    """Letter, name and best loss of each, in ``width`` cells: the names are as long as fits, or left out."""
    for longest in (LONGEST_NAME, *range(LONGEST_NAME - 1, SHORTEST_NAME - 1, -1), 0):
        line = Content("").join(_entry(other, bits, longest) for other in others)
        if line.cell_length <= width:
            break
    return line.truncate(max(width, 0), ellipsis=True)


def _entry(other: OtherRun, bits: bool, longest: int) -> Content:
    status = other.view.status
    figure = best_loss(status, bits)
    name = f" {shorten(visible(other.view.name, keep=''), longest)}" if longest else ""
    return Content.assemble((other.letter, f"bold $run-{other.colour}"), f"{name} {figure}  ")
