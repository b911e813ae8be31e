"""How a training run is shown on stderr as it goes: a bar and its milestones on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from textwrap import shorten
from typing import Any, Self

import click

from charlstm.cli.common import console
from charlstm.runs.series import RunSeries
from charlstm.text.visible import visible
from charlstm.training.events import (
    Checkpointed,
    Controlled,
    Event,
    Failed,
    Finished,
    Paused,
    Resumed,
    Sampled,
    Started,
    Stepped,
    Validated,
    Warned,
    to_line,
)

PLAIN_EVERY = 10.0
"""Seconds between two lines of progress where no bar can be drawn."""

SAMPLE_WIDTH = 100
"""Characters of a sample that are shown; the whole of it is in the log."""

BITS = 1 / math.log(2)


class EventView:
    """Shows events as they come. ``json``: each as a line on stdout, and nothing else; else for a person."""

    def __init__(self, *, json: bool = False, plain: bool = False) -> None:
        self.series = RunSeries()
        self._json = json
        self._bar: Any = None
        self._draws = not json and not plain and sys.stderr.isatty()
        self._task: Any = None
        self._last_line = -math.inf

    def __enter__(self) -> Self:
        if self._draws:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
            self._bar = Progress(*columns, console=console(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, events: Iterable[Event]) -> None:
        """Take in the next events of a run and show them."""
        for event in events:
            self.series.feed([event])
            if self._json:
                click.echo(to_line(event))
                sys.stdout.flush()
            elif isinstance(event, Stepped):
                self._progress(event)
            elif line := milestone(event):
                self.say(line)

    def say(self, line: str) -> None:
        """One line for the person, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            click.echo(line, err=True)

    def _progress(self, event: Stepped) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task, total=self.series.planned_steps, completed=event.step, description=self._figures(event)
            )
        elif event.train_seconds - self._last_line >= PLAIN_EVERY or event.train_seconds < self._last_line:
            self._last_line = event.train_seconds
            self.say(f"step {event.step:>6} of {self.series.planned_steps or '?'}  {self._figures(event)}")

    def _figures(self, event: Stepped) -> str:
        best = self.series.best
        parts = [f"loss {event.train_loss:.3f}"]
        if best is not None:
            parts.append(f"best {best.val_loss:.3f}")
        parts.append(f"{event.chars_per_second:,.0f} characters/s")
        left = self.series.seconds_left()
        if left is not None:
            parts.append(f"{minutes(left)} left")
        return " · ".join(parts)


def milestone(event: Event) -> str | None:
    """One line on an event that a person wants to read, in plain words; None for the others."""
    at = f"step {event.step:>6}  "
    match event:
        case Started():
            return (
                f"{event.parameters:,} parameters · {event.train_chars:,} characters to learn from, "
                f"{event.val_chars:,} held out · {event.planned_steps:,} steps · "
                f"{event.kernel} on {event.device}, {event.threads} threads"
            )
        case Validated():
            what = "whole held-out part" if event.whole else "held out"
            star = "  best so far" if event.best else ""
            return f"{at}{what} {event.val_loss:.4f} nats, {event.val_loss * BITS:.3f} bits per character{star}"
        case Sampled():
            return f"{at}{shorten(visible(event.prime + event.text), SAMPLE_WIDTH, placeholder=' …')}"
        case Controlled():
            return f"{at}{event.command}" + (f" {event.value:g}" if event.value is not None else "")
        case Paused():
            return f"{at}paused ({event.reason})"
        case Resumed():
            notes = "; ".join(note for note in (event.changes, event.inexact) if note)
            return f"{at}going on" + (f": {notes}" if notes else "")
        case Warned():
            return f"{at}note: {event.message}"
        case Finished():
            best = "" if event.best_val is None else f": best {event.best_val:.4f} nats at step {event.best_step}"
            return f"{at}ended ({event.reason}) after {minutes(event.train_seconds)} of training{best}"
        case Failed():
            return f"{at}failed: {event.message}"
        case Checkpointed() | Event():
            return None


def minutes(seconds: float) -> str:
    """A stretch of time as `0:42`, `12:05` or `2:10:00`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
