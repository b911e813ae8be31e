"""How a training run is shown on stderr as it goes: a bar and its milestones on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Self

from charlstm.cli.output import StatusLine, echo_json, format_duration, plural, terminal_width, truncate
from charlstm.display import visible
from charlstm.runs.series import RunSeries
from charlstm.runs.status import ESTIMATE, RunStatus
from charlstm.runs.verdict import Verdict, verdict
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
"""Characters of a sample that are shown, or what fits on a line; the whole of it is in the log."""

ENDS = {
    "done": "finished",
    "stopped": "stopped",
    "time": "out of time",
    "patience": "stopped getting better",
    "diverged": "diverged",
}
"""Why a run ended, in words."""

BITS = 1 / math.log(2)


class EventView:
    """Shows events as they come. ``json``: each as a line on stdout, and nothing else; else for a person."""

    def __init__(self, *, json: bool = False, plain: bool = False) -> None:
        self.series = RunSeries()
        self._json = json
        self._line = StatusLine(draws=not json and not plain)
        self._last_line = -math.inf
        self._judged: Verdict | None = None

    def __enter__(self) -> Self:
        self.wait("starting: measuring what is fastest here")
        return self

    def __exit__(self, *_: object) -> None:
        self._line.clear()

    def show(self, events: Iterable[Event]) -> None:
        """Take in the next events of a run and show them."""
        for event in events:
            self.series.feed([event])
            if self._json:
                echo_json(to_line(event))
                sys.stdout.flush()
            elif isinstance(event, Stepped):
                self._progress(event)
            elif line := milestone(event):
                self.say(line)

    def say(self, line: str) -> None:
        """One line for the person, above the status line where there is one; literally, as it may quote a log."""
        self._line.say(visible(line))

    def judge(self, status: RunStatus | None = None) -> Verdict:
        """Say how the run is doing, in the app's words, unless that is what was said last. ``status`` as for
        :func:`~charlstm.runs.verdict.verdict`; the text is not read for it, so being stuck is not seen."""
        judged = verdict(self.series, status)
        if not self._json and (self._judged is None or judged.text != self._judged.text):
            self.say(judged.text)
        self._judged = judged
        return judged

    def wait(self, words: str) -> None:
        """Say on the status line why nothing moves; literally too."""
        self._line.draw(None, visible(words, keep=""))

    def _progress(self, event: Stepped) -> None:
        planned = self.series.planned_steps
        if self._line.draws:
            self._line.draw(event.step / planned if planned else None, self._figures(event))
        elif event.train_seconds - self._last_line >= PLAIN_EVERY or event.train_seconds < self._last_line:
            self._last_line = event.train_seconds
            self.say(f"step {event.step:>6,} of {f'{planned:,}' if planned else '?'}  {self._figures(event)}")

    def _figures(self, event: Stepped) -> str:
        best = self.series.best
        parts = [f"loss {event.train_loss:.3f}"]
        if best is not None:
            parts.append(f"best {ESTIMATE}{best.val_loss:.3f}")
        parts.append(f"{event.chars_per_second:,.0f} characters/s")
        left = self.series.seconds_left()
        if left is not None:
            parts.append(f"{format_duration(left)} left")
        return " · ".join(parts)


def milestone(event: Event) -> str | None:
    """What a person wants to read of an event, in plain words; None for those that they need not."""
    at = f"step {event.step:>6,}  "
    match event:
        case Started():
            return (
                f"{event.parameters:,} parameters · {event.train_chars:,} characters to learn from, "
                f"{event.val_chars:,} held out"
                + (f", {event.test_chars:,} kept for a test" if event.test_chars else "")
                + "\n"
                f"{plural(event.planned_steps, 'step')} · {event.kernel} on {event.device}, "
                f"{plural(event.threads, 'thread')}"
            )
        case Validated():
            what = "all held out " if event.whole else f"held out {ESTIMATE}"
            star = "  best so far" if event.best and not event.whole else ""
            return f"{at}{what}{event.val_loss:.4f} nats, {event.val_loss * BITS:.3f} bits per character{star}"
        case Sampled():
            width = min(SAMPLE_WIDTH, terminal_width() - len(at) - 1)
            return f"{at}{truncate(visible(event.prime + event.text, keep=''), width)}"
        case Controlled():
            return f"{at}{_asked(event)}"
        case Paused():
            return f"{at}paused" + ("" if event.reason == "asked" else f" ({event.reason})")
        case Resumed():
            notes = "; ".join(note for note in (event.changes, event.inexact) if note)
            return f"{at}going on" + (f": {notes}" if notes else "")
        case Warned():
            return f"{at}note: {event.message}"
        case Finished():
            best = ""
            if event.best_val is not None:
                mark = "" if event.is_whole else ESTIMATE
                best = f"; best {mark}{event.best_val:.4f} nats, at step {event.best_step:,}"
            word = ENDS.get(event.reason, event.reason)
            return f"{at}{word} after {format_duration(event.train_seconds)} of training{best}"
        case Failed():
            return f"{at}failed: {event.message}"
        case Checkpointed() | Event():
            return None


def _asked(event: Controlled) -> str:
    """What was asked of a run, or what its clock decided, in words."""
    value = 0.0 if event.value is None else event.value
    match event.command:
        case "replan":
            return f"{plural(round(value), 'step')} to go, so that it ends in time"
        case "finish":
            return f"finishing: the rate goes to zero in {plural(round(value), 'step')}"
        case "set-lr":
            return f"rate set to {value:g}"
        case "stop":
            return "stopping: writing a checkpoint"
        case "resume":
            return "told to go on"
        case command:
            return f"told to {command}"
