"""How a run looks as one line of a table, at any width. Only content: moving and choosing is ``row_list``'s."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from textual.content import Content

from charlstm.display import visible
from charlstm.runs.status import ago
from charlstm_tui.formatting import STATE_MARKS, clock, count, loss, shorten, size
from charlstm_tui.run_watcher import RunView

STATE_STYLES = {
    "starting": "$accent", "running": "$success", "paused": "$warning", "waiting": "$warning", "stopped": "$quiet",
    "finished": "$primary", "failed": "$error", "crashed": "$error",
}  # fmt: skip

SORTS: dict[str, Callable[[RunView], object]] = {
    "newest": lambda run: -run.created,
    "best": lambda run: math.inf if run.status.best_val is None else run.status.best_val,
    "name": lambda run: run.name.casefold(),
    "state": lambda run: (not run.live, run.status.state),
    "size": lambda run: -run.size,
}


@dataclass(frozen=True, slots=True)
class Column:
    """``rank``: the smaller, the longer it stays when the terminal gets narrow."""

    title: str
    width: int
    rank: int
    cell: Callable[[RunView, bool], Content]
    right: bool = False

    @property
    def gap(self) -> str:
        """What stands before it: figures, which seldom fill their column, need less."""
        return " " if self.right else "  "


def best(run: RunView, bits: bool) -> str:
    """The best loss, marked while it is an estimate."""
    return loss(run.status.best_val, bits, whole=run.status.best_whole)


def state_words(run: RunView) -> Content:
    """The state with its mark, and how far a live run has come."""
    status = run.status
    percent = f" {int(100 * status.progress)}%" if status.alive and status.step and status.progress is not None else ""
    words = f"{STATE_MARKS[status.state]} {status.state}{percent}"
    if run.problem:
        return Content.styled("✗ unreadable", "$error")
    return Content.styled(words, STATE_STYLES[status.state])


def _columns() -> tuple[Column, ...]:
    def plain(text: str, quiet: bool = False) -> Content:
        return Content.styled(text, "$quiet") if quiet else Content(text)

    return (
        Column("STATE", 13, 1, lambda run, bits: state_words(run)),
        Column("TEXT", 12, 3, lambda run, bits: plain(shorten(visible(run.text, keep=""), 12))),
        Column("PRESET", 10, 7, lambda run, bits: plain(shorten(visible(run.preset, keep=""), 10))),
        Column("BEST", 5, 2, lambda run, bits: plain(best(run, bits)), right=True),
        Column("STEP", 7, 4, lambda run, bits: plain(_steps(run.status.step)), right=True),
        Column("TIME", 8, 5, lambda run, bits: plain(clock(run.status.train_seconds)), right=True),
        Column("SIZE", 6, 6, lambda run, bits: plain(size(run.size), quiet=True), right=True),
        Column("MADE", 10, 8, lambda run, bits: plain(_age(run), quiet=True), right=True),
    )


COLUMNS = _columns()
NAME_LEAST, NAME_MOST = 15, 32
EDGES = 5  # cells for the cursor, the mark, and the margin on the right


@lru_cache(256)
def fitting(width: int) -> tuple[int, tuple[Column, ...]]:
    """Room for the name, and the columns that fit beside it in ``width`` cells."""
    columns = list(COLUMNS)
    while columns and _room(width, columns) < NAME_LEAST:
        columns.remove(max(columns, key=lambda column: column.rank))
    return max(4, min(NAME_MOST, _room(width, columns))), tuple(columns)


def _room(width: int, columns: Sequence[Column]) -> int:
    return width - EDGES - sum(column.width + len(column.gap) for column in columns)


def captions(width: int) -> Content:
    """The line of column titles."""
    room, columns = fitting(width)
    cells = (
        column.gap + (column.title.rjust(column.width) if column.right else column.title.ljust(column.width))
        for column in columns
    )
    return Content.styled("    " + "RUN".ljust(room) + "".join(cells), "$quiet bold")


def line(run: RunView, marked: bool, width: int, bits: bool) -> Content:
    """The run as a line of ``width`` cells, without the cursor's gutter."""
    return _line(run, marked, width, bits, _age(run))


@lru_cache(2048)  # a look at the runs changes few of them
def _line(run: RunView, marked: bool, width: int, bits: bool, age: str) -> Content:
    room, columns = fitting(width)
    name = Content(shorten(visible(run.name, keep=""), room)).truncate(room, pad=True)
    parts: list[Content | str] = [Content.styled("✓ " if marked else "  ", "bold $accent"), name]
    for column in columns:
        cell = column.cell(run, bits).truncate(column.width, ellipsis=True)
        rest = " " * max(0, column.width - cell.cell_length)
        parts += [column.gap, *((rest, cell) if column.right else (cell, rest))]
    return Content.assemble(*parts)


def _steps(step: int) -> str:
    return f"{step:,}" if step < 1_000_000 else count(step)


def _age(run: RunView) -> str:
    return f"{ago(max(0.0, time.time() - run.created))} ago" if run.created else ""
