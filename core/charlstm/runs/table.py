"""A table of runs, as text and as HTML for a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence

from charlstm.display import table, visible
from charlstm.errors import RunError
from charlstm.runs.folder import Run
from charlstm.training.events import ESTIMATE

COLUMNS = ("run", "state", "text", "loss", "step", "minutes")
FIGURES = ("loss", "step", "minutes")


def runs_text(runs: Sequence[Run]) -> str:
    """The runs as lines: name, state, text, best validation loss, step and minutes."""
    return "\n".join(table(COLUMNS, map(_row, runs), right=FIGURES)) if runs else "No runs"


def runs_html(runs: Sequence[Run]) -> str:
    """The same as a table, whose colours are those of the page."""
    if not runs:
        return "<p>No runs</p>"
    head, *body = ["".join(map(_cell_html, COLUMNS, row)) for row in (COLUMNS, *map(_row, runs))]
    rows = "".join(f"<tr>{row}</tr>" for row in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cell_html(column: str, cell: str) -> str:
    side = "right" if column in FIGURES else "left"
    return f'<td style="text-align:{side}">{html.escape(cell)}</td>'


def _row(run: Run) -> tuple[str, ...]:
    status = run.status()
    state = f"{status.state} {status.percent}%" if status.alive and status.percent is not None else status.state
    loss = "" if status.loss is None else f"{'' if status.best_whole else ESTIMATE}{status.loss:.4f}"
    try:
        text = run.spec().corpus_name
    except RunError:  # a damaged run.json, which the state shows
        text = ""
    cells = (run.name, state, text, loss, f"{status.step:,}", f"{status.work_seconds / 60:.1f}")
    return tuple(visible(cell, keep="") for cell in cells)
