"""A table of runs, as text, as HTML for a notebook, and as JSON."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

from charlstm.display import loss_figure, table, visible
from charlstm.errors import RunError
from charlstm.runs.folder import RunFolder, RunSpec, text_names
from charlstm.runs.notes import Notes
from charlstm.runs.status import RunStatus, ordinal

COLUMNS = ("run", "state", "text", "loss", "step", "minutes")
FIGURES = ("loss", "step", "minutes")


def runs_text(runs: Sequence[RunFolder]) -> str:
    """The runs as lines: name, state, text, best validation loss, step and minutes."""
    return "\n".join(table(COLUMNS, _rows(runs), right=FIGURES)) if runs else "No runs"


def runs_html(runs: Sequence[RunFolder]) -> str:
    """The same as a table, whose colours are those of the page."""
    if not runs:
        return "<p>No runs</p>"
    head, *body = ["".join(map(_cell_html, COLUMNS, row)) for row in (COLUMNS, *_rows(runs))]
    rows = "".join(f"<tr>{row}</tr>" for row in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


@dataclass(frozen=True)
class ListedRun:
    """A run as ``charlstm runs`` lists it; ``spec`` is None when its run.json cannot be read."""

    JSON_FIELDS: ClassVar = (
        "run.name", "run.path", "status.state", "status.step", "status.planned_steps", "status.loss", "best_kind",
        "status.read_share", "status.read_by", "status.train_seconds", "status.work_seconds", "status.progress",
        "status.seconds_left", "text", "preset", "started_from", "bytes", "status.message", "status.slowdown",
        "noted.tags", "notes", "created",
    )  # fmt: skip

    run: RunFolder
    status: RunStatus
    spec: RunSpec | None
    noted: Notes

    @property
    def best_kind(self) -> Literal["whole", "estimate"] | None:
        """``whole``: the loss is over the whole held-out part; ``estimate``: from slices of it, as while a run trains;
        None before the first validation."""
        return None if self.status.loss is None else "whole" if self.status.best_whole else "estimate"

    @property
    def text(self) -> str:
        return "" if self.spec is None else self.spec.corpus_name

    @property
    def preset(self) -> str:
        return "" if self.spec is None else self.spec.preset

    @property
    def started_from(self) -> str | None:
        """The run or the file of the model whose weights it began with; None for a run from nothing."""
        return None if self.spec is None else self.spec.started_from or None

    @cached_property
    def bytes(self) -> int:
        """Size of the run's folder."""
        return self.run.size()

    @property
    def notes(self) -> str:
        """The user's note; empty without one."""
        return self.noted.note

    @property
    def created(self) -> float | None:
        """Unix seconds; None if its ``run.json`` cannot be read."""
        return None if self.spec is None else self.spec.created


def _cell_html(column: str, cell: str) -> str:
    side = "right" if column in FIGURES else "left"
    return f'<td style="text-align:{side}">{html.escape(cell)}</td>'


def _rows(runs: Sequence[RunFolder]) -> list[tuple[str, ...]]:
    specs = [spec_if_readable(run) for run in runs]
    names = iter(text_names([spec for spec in specs if spec is not None]))
    return [_row(run, "" if spec is None else next(names)) for run, spec in zip(runs, specs, strict=True)]


def spec_if_readable(run: RunFolder) -> RunSpec | None:
    """What the run's run.json says; None when it cannot be read."""
    try:
        return run.spec()
    except RunError:  # a damaged run.json, which the state shows
        return None


def _row(run: RunFolder, text: str) -> tuple[str, ...]:
    status = run.status()
    minutes = f"{status.work_seconds / 60:.1f}"
    cells = (run.name, state_words(status), text, best_words(status), f"{status.step:,}", minutes)
    return tuple(visible(cell, keep="") for cell in cells)


def state_words(status: RunStatus) -> str:
    """The state of a run, and how far it has come while it trains, or its place: ``running 40%``, ``queued 2nd``."""
    if status.place is not None:
        return f"{status.state} {ordinal(status.place)}"
    return f"{status.state} {status.percent}%" if status.alive and status.percent is not None else status.state


def best_words(status: RunStatus) -> str:
    """The best validation loss in nats per character, with its mark; empty before there is one."""
    return "" if status.loss is None else f"{status.mark}{loss_figure(status.loss)}"
