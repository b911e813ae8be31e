"""The columns of the table of runs: their cells, their order, and how many fit. The rows are a ``RowList``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from charlstm.display import count, size, visible
from charlstm.runs.status import ago, ordinal
from charlstm_tui.formatting import STATE_MARKS, best_loss, clock, shorten
from charlstm_tui.run_watcher import RunView

STATE_STYLES = {
    "queued": "$accent", "starting": "$accent", "running": "$success", "paused": "$warning", "waiting": "$warning",
    "stopped": "$quiet", "finished": "$primary", "failed": "$error", "crashed": "$error",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``rank``: the smaller, the longer it stays when the terminal gets narrow."""

    title: str
    width: int
    rank: int
    cell: Callable[[RunView, bool], Content]
    key: Callable[[RunView], float | str]
    """What runs are sorted by, upwards."""
    order: str
    """The order in words when it begins as usual, and in :attr:`reversed` the other way round."""
    reversed: str
    right: bool = False
    falling: bool = False
    """Whether sorting by it begins with the largest figure or the latest time."""
    most: int = 0
    """The most cells it has, where its entries need them and the names of the runs do not; 0: never more than
    ``width``."""

    @property
    def gap(self) -> str:
        """The space before it. Figures seldom fill their column and need less."""
        return " " if self.right else "  "


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of the table: by the column with this title, in its usual direction or ``reverse``."""

    title: str = "CREATED"
    reverse: bool = False

    @property
    def falling(self) -> bool:
        """Whether it begins with the largest figure or the latest time."""
        return BY_TITLE[self.title].falling != self.reverse

    @property
    def words(self) -> str:
        column = BY_TITLE[self.title]
        return column.reversed if self.reverse else column.order

    def after_click(self, title: str) -> Sort:
        """The order after a click on the title of a column: a second click reverses."""
        return Sort(title, not self.reverse) if title == self.title else Sort(title)

    def next(self) -> Sort:
        """The order after the key for another order."""
        turn = list(SORTED_BY_KEY)
        return Sort(turn[(turn.index(self.title) + 1) % len(turn)] if self.title in turn else turn[0])

    def sorted(self, runs: Sequence[RunView]) -> list[RunView]:
        """The runs in this order. Runs with equal figures keep their order."""
        return sorted(runs, key=BY_TITLE[self.title].key, reverse=self.falling)


def passes(run: RunView, typed: str) -> bool:
    """Whether each word that is typed in the filter is a part of the run's name, text, tags or state."""
    found = "\n".join((run.name, run.text, *run.notes.tags, run.status.state)).casefold()
    return all(word in found for word in typed.casefold().split())


SORTED_BY_KEY = ("CREATED", "BEST", "RUN", "STATE", "SIZE")


def state_words(run: RunView) -> Content:
    """The state with its mark, and how far a live run has come, or the place of one that waits."""
    status = run.status
    percent = f" {status.percent}%" if status.alive and status.step and status.percent is not None else ""
    place = "" if status.place is None else f" {ordinal(status.place)}"
    words = f"{STATE_MARKS[status.state]} {status.state}{percent}{place}"
    if run.problem:
        return Content.styled("✗ unreadable", "$error")
    return Content.styled(words, STATE_STYLES[status.state])


def created_ago(created: float) -> str:
    """When something was created, ``created`` in Unix seconds: ``5 min ago``, or the date after 100 days."""
    if not created:
        return ""
    seconds = time.time() - created
    if seconds < 60:
        return "just now"
    if seconds < 100 * 86400:
        return f"{ago(seconds)} ago"
    return time.strftime("%Y-%m-%d", time.localtime(created))


def _plain(text: str) -> Content:
    return Content(visible(text, keep=""))


def _preset(run: RunView) -> str:
    """The preset, and the model that the run started from: its loss is not that of training from nothing."""
    return f"{run.preset} ({run.started_from})" if run.started_from else run.preset


def _best(run: RunView, bits: bool) -> Content:
    return Content(best_loss(run.status, bits))


def _steps(step: int) -> str:
    return f"{step:,}" if step < 1_000_000 else count(step)


def _quiet(text: str) -> Content:
    return Content.styled(text, "$quiet")


NAME = Column(
    "RUN", 0, 0, lambda run, bits: _plain(run.name), lambda run: run.name.casefold(), "name", "name, reversed"
)
COLUMNS = (
    Column(
        "STATE", 13, 1, lambda run, bits: state_words(run), lambda run: f"{not run.live} {run.status.state}",
        "state", "state, reversed",
    ),
    Column(
        "TEXT", 12, 4, lambda run, bits: _plain(run.text), lambda run: run.text.casefold(),
        "text", "text, reversed", most=28,
    ),
    Column(
        "PRESET", 10, 8, lambda run, bits: _plain(_preset(run)), lambda run: _preset(run).casefold(),
        "preset", "preset, reversed", most=24,
    ),
    Column(
        "BEST", 6, 2, _best, lambda run: math.inf if run.status.loss is None else run.status.loss,
        "best first", "best last", right=True,
    ),
    Column(
        "STEP", 7, 5, lambda run, bits: Content(_steps(run.status.step)), lambda run: run.status.step,
        "most steps", "fewest steps", right=True, falling=True,
    ),
    Column(
        "TIME", 8, 6, lambda run, bits: Content(clock(run.status.work_seconds)), lambda run: run.status.work_seconds,
        "longest training", "shortest training", right=True, falling=True,
    ),
    Column(
        "SIZE", 6, 7, lambda run, bits: _quiet(size(run.size)), lambda run: run.size,
        "largest", "smallest", right=True, falling=True,
    ),
    Column(
        "CREATED", 10, 3, lambda run, bits: _quiet(created_ago(run.created)), lambda run: run.created,
        "newest", "oldest", right=True, falling=True,
    ),
)  # fmt: skip
BY_TITLE = {column.title: column for column in (NAME, *COLUMNS)}
NAME_LEAST, NAME_MOST = 15, 32
LEAST_RANK = 5
"""Columns of this rank and above give way to a name that would be cut."""
EDGES = 5  # cells for the cursor, the mark, and the margin on the right


class Longest(NamedTuple):
    """The cells of the longest name, text and preset in a table."""

    name: int = 0
    text: int = 0
    preset: int = 0

    def wanted(self, column: Column) -> int:
        """The cells that a column would like to have."""
        entry = {"TEXT": self.text, "PRESET": self.preset}.get(column.title, 0)
        return max(column.width, min(column.most, entry))


NO_ENTRIES = Longest()


@lru_cache(256)
def fitting(width: int, longest: Longest = NO_ENTRIES) -> tuple[int, tuple[Column, ...]]:
    """The width of the name, and the columns that fit beside it in ``width`` cells. Columns that say least give way to
    the ``longest`` name."""
    columns, wanted = list(COLUMNS), min(longest.name, NAME_MOST)
    while columns and (room := _name_width(width, columns)) < max(NAME_LEAST, wanted):
        last = max(columns, key=lambda column: column.rank)
        if room >= NAME_LEAST and last.rank < LEAST_RANK:
            break
        columns.remove(last)
    spare = _name_width(width, columns) - max(NAME_LEAST, wanted)
    for index, column in enumerate(columns):
        if spare > 0 and (more := min(longest.wanted(column) - column.width, spare)):
            columns[index] = replace(column, width=column.width + more)
            spare -= more
    return max(4, min(NAME_MOST, _name_width(width, columns))), tuple(columns)


def _name_width(width: int, columns: Sequence[Column]) -> int:
    return width - EDGES - sum(column.width + len(column.gap) for column in columns)


def longest_entries(runs: Sequence[RunView]) -> Longest:
    """The cells of the longest entries of the table."""
    entries = ((run.name, run.text, _preset(run)) for run in runs)
    cells = [tuple(cell_len(visible(entry, keep="")) for entry in row) for row in entries]
    return Longest(*map(max, zip(*cells, strict=True))) if cells else NO_ENTRIES


def line(run: RunView, marked: bool, width: int, bits: bool, longest: Longest = NO_ENTRIES) -> Content:
    """The run as a line of ``width`` cells, without the sign of the cursor. ``longest``: see :func:`fitting`."""
    return _line(run, marked, width, bits, created_ago(run.created), longest)


@lru_cache(2048)  # of many runs few change from one state to the next
def _line(run: RunView, marked: bool, width: int, bits: bool, created: str, longest: Longest) -> Content:
    name_width, columns = fitting(width, longest)
    name = Content(shorten(visible(run.name, keep=""), name_width)).truncate(name_width, pad=True)
    parts: list[Content | str] = [Content.styled("✓ " if marked else "  ", "bold $accent"), name]
    for column in columns:
        cell = column.cell(run, bits)
        if cell.cell_length > column.width:
            cell = Content(shorten(cell.plain, column.width)) if not cell.spans else cell
            cell = cell.truncate(column.width, ellipsis=True)
        rest = " " * max(0, column.width - cell.cell_length)
        parts += [column.gap, *((rest, cell) if column.right else (cell, rest))]
    return Content.assemble(*parts)


class RunsHeader(Widget):
    """The titles of the columns. A click sorts by one, a second click reverses the order."""

    DEFAULT_CSS = "RunsHeader { height: 1; }"

    sort: reactive[Sort] = reactive(Sort())
    longest: reactive[Longest] = reactive(NO_ENTRIES)
    """The cells of the longest entries of the table."""

    class Clicked(Message):
        """The title of a column was clicked."""

        def __init__(self, title: str) -> None:
            super().__init__()
            self.title = title

    def render(self) -> Content:
        name_width, columns = fitting(self.size.width - 1, self.longest)
        parts = [Content("    "), self._title(NAME, name_width)]
        for column in columns:
            parts += [Content(column.gap), self._title(column, column.width)]
        return Content.assemble(*parts)

    def _title(self, column: Column, width: int) -> Content:
        title = Content(column.title)
        if column.title == self.sort.title:
            arrow = "▾" if self.sort.falling else "▴"
            title = Content.styled(column.title + arrow, "bold $accent")
        rest = " " * max(0, width - title.cell_length)
        return Content.assemble(rest, title) if column.right else Content.assemble(title, rest)

    def on_click(self, event: events.Click) -> None:
        name_width, columns = fitting(self.size.width - 1, self.longest)
        end = EDGES - 1 + name_width
        if event.x < end:
            self.post_message(self.Clicked(NAME.title))
        for column in columns:
            start, end = end, end + len(column.gap) + column.width
            if start <= event.x < end:
                self.post_message(self.Clicked(column.title))
