"""Show the events of a training run on stderr: a progress bar on a terminal, and a line for each milestone."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from charlstm.cli import output
from charlstm.config import load_config
from charlstm.display import BITS_PER_NAT, duration, loss_figure, percent, plural, shell_command, size, visible
from charlstm.line import TerminalLine, terminal_width, truncate
from charlstm.runs import on_end
from charlstm.runs.contention import slowdown_words
from charlstm.runs.folder import RunFolder
from charlstm.runs.series import RunSeries
from charlstm.runs.status import RunStatus
from charlstm.runs.text import baseline_losses
from charlstm.runs.verdict import Verdict, advice_to_stop, judge
from charlstm.text import read_before
from charlstm.training import events
from charlstm.training.ending import END_REASONS, lower_rate
from charlstm.training.estimate import disk_bytes
from charlstm.training.settings import LENGTH, Settings

PLAIN_INTERVAL = 10.0
"""Seconds of training between two lines of progress where there is no bar."""

JUDGE_INTERVAL = 2.0
"""Seconds between two judgements whether the run diverges, which take some milliseconds in a long run."""

SAMPLE_WIDTH = 100
"""Characters of a sample that are shown, if they fit on a line; the log has all of it."""

LIMITS = ("epochs", "max_steps", "max_minutes", "patience")
"""Settings that can end a run, in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that can end a run, and where they come from."""

    settings: Settings
    requested: frozenset[str]
    """The settings that the user gave."""
    origin: str
    """Where the others come from, in words."""

    def planned(self, limit: str, step: int) -> str:
        """The ``limit`` that will end the run at ``step``, and below it a line with the other limits."""
        others = self._words()
        ends = others.pop(limit)
        about = "about " if limit == "max_minutes" else ""
        more = f"\nother limits: {', '.join(others.values())}" if others else ""
        return f"ends by {ends} at {about}step {step:,}{more}"

    def listed(self) -> str:
        """All limits, in a sentence, for a run whose plan is not known yet."""
        names = list(self._words().values())
        return f"ends by {names[0]}" if len(names) == 1 else f"ends by the first of: {', '.join(names)}"

    def missed(self, limit: str) -> str:
        """A sentence when ``limit`` ended the run and the user gave others; else empty."""
        words = self._words()
        given = [words[name] for name in words if name in LENGTH & self.requested]
        if limit not in words or limit in self.requested or not given:
            return ""
        were = "was" if len(given) == 1 else "were"
        return f"{' and '.join(given)} {were} not reached: {words[limit]} ended the run"

    def _words(self) -> dict[str, str]:
        """The limits that are set, in words."""
        values = {name: getattr(self.settings, name) for name in LIMITS}
        return {
            name: f"{name}={value:.12g}" + ("" if name in self.requested else f" ({self.origin})")
            for name, value in values.items()
            if value is not None
        }


class EventView:
    """Shows the events of ``run``: as lines of JSON on stdout with ``json``, else as text on stderr.

    In JSON, ``started`` and ``resumed`` also have the name and the folder of the run. They are not in its log, because
    they change when the run is renamed or moved.

    With ``limits``, it also shows at the start which of them will end the run. ``before`` are the events that the run
    had already, which are not shown: by them the later ones are judged.
    """

    def __init__(
        self,
        run: RunFolder,
        *,
        json: bool = False,
        plain: bool = False,
        limits: Limits | None = None,
        before: Iterable[events.Event] = (),
    ) -> None:
        self.series = RunSeries.of(before)
        self._run = run
        self._json = json
        self._limits = limits
        self._line = TerminalLine(enabled=not json and not plain)
        self._last_printed = -math.inf
        self._verdict: Verdict | None = None
        self._diverges, self._judged_at = False, -math.inf

    def __enter__(self) -> Self:
        started = self.series.started is not None
        self.show_waiting(f"starting: {'reading its last state' if started else 'measuring the speed of this machine'}")
        return self

    def __exit__(self, *_: object) -> None:
        self._line.clear()

    def show(self, logged: Iterable[events.Event]) -> None:
        """Show the next events of the run."""
        for event in logged:
            self.series.feed([event])
            if self._json:
                started = isinstance(event, (events.Started, events.Resumed))
                of_run = {"run": self._run.name, "path": str(self._run.path)} if started else {}
                output.print_json(events.to_line(event, **of_run))
                sys.stdout.flush()
            elif isinstance(event, events.Stepped):
                self._show_progress(event)
            elif line := milestone(event):
                self.print_line(line)
                if self._limits and isinstance(event, events.Started):
                    chars = event.train_chars + event.val_chars + event.test_chars
                    disk = disk_bytes(self._limits.settings, event.parameters, chars)
                    self.print_line(f"takes about {size(disk)} on the disk")
                if (
                    self._limits
                    and isinstance(event, (events.Started, events.Resumed))
                    and event.limit
                    and event.planned_steps
                ):
                    self.print_line(self._limits.planned(event.limit, event.planned_steps))
        self._warn_of_divergence()

    def print_line(self, line: str) -> None:
        """Print a line above the status line. Control characters, which may come from a log, are made visible."""
        self._line.print_above(visible(line))

    def print_verdict(self, status: RunStatus | None = None) -> Verdict:
        """Print the verdict on the run, if it has changed, and return it.

        ``status`` is that of :func:`~charlstm.runs.verdict.judge`. The text is read once the run has finished, to
        compare its model with simple ones: so no run is found stuck before.
        """
        finished = self.series.finished is not None and not self._json
        judged = judge(self.series, status, references=baseline_losses(self._run) if finished else None)
        if not self._json and (self._verdict is None or judged.text != self._verdict.text):
            self.print_line(judged.text)
        self._verdict = judged
        return judged

    def _warn_of_divergence(self) -> None:
        """Print the verdict on a run that begins to diverge, with what to do."""
        now = time.monotonic()
        if self._json or self.series.finished is not None or now - self._judged_at < JUDGE_INTERVAL:
            return
        self._judged_at = now
        judged, before = judge(self.series), self._diverges
        self._diverges = judged.kind == "diverging"
        if self._diverges and not before:
            last = self.series.last_step
            rate = f"{lower_rate(Settings().lr if last is None else last.lr):.1g}"
            command = shell_command("control", self._run.name, "set-lr", rate)
            self.print_line(f"note: {judged.text} {advice_to_stop(command)}")

    def show_waiting(self, words: str) -> None:
        """Show on the status line why there is no progress."""
        self._line.draw(None, visible(words, keep=""))

    def show_final_validation(self, validated: float, left: float | None) -> None:
        """Show on the status line how far the final validation is, and the seconds ``left`` once they are known."""
        self.show_waiting(f"final validation {percent(validated, 0)}" + (f" · {duration(left)} left" if left else ""))

    def _show_progress(self, event: events.Stepped) -> None:
        planned = self.series.planned_steps
        if self._line.enabled:
            self._line.draw(self.series.progress(), self._figures(event, self._line.columns))
        elif event.train_seconds - self._last_printed >= PLAIN_INTERVAL or event.train_seconds < self._last_printed:
            self._last_printed = event.train_seconds
            self.print_line(f"step {event.step:>6,} of {f'{planned:,}' if planned else '?'}  {self._figures(event)}")

    def _figures(self, event: events.Stepped, columns: int | None = None) -> str:
        """Where the run is: as many of its figures as fit into so many columns, or all."""
        best, left = self.series.best, self.series.seconds_left()
        planned = self.series.planned_steps
        ends = planned is not None and event.step >= planned
        figures = {
            "loss": f"loss {loss_figure(event.train_loss)}",
            "best": "" if best is None else f"best {events.ESTIMATE}{loss_figure(best.loss)}",
            "speed": f"{event.chars_per_second:,.0f} characters/s",
            "left": "final validation" if ends else "" if left is None else f"{duration(left)} left",
        }
        for name in ("speed", "best"):
            if columns is None or len(" · ".join(filter(None, figures.values()))) <= columns:
                break
            figures[name] = ""
        return " · ".join(filter(None, figures.values()))


def ring(words: str) -> None:
    """Tell in the terminal on stderr what has ended, as the user's configuration says; nothing without words."""
    if words and sys.stderr.isatty():
        sequence = on_end.terminal_sequence(words, load_config()[0].notify)
        print(sequence, end="", file=sys.stderr, flush=True)


def milestone(event: events.Event) -> str | None:
    """An event as a line of text; None for events that are not shown."""
    at = f"step {event.step:>6,}  "
    match event:
        case events.Started():
            return (
                f"{event.parameters:,} parameters · {event.train_chars:,} training characters, "
                f"{event.val_chars:,} held out"
                + (f", {event.test_chars:,} in the test part" if event.test_chars else "")
                + "\n"
                f"{plural(event.planned_steps, 'step')} · {event.kernel} on {event.device}, "
                f"{plural(event.threads, 'thread')}"
            )
        case events.Validated():
            name = (
                "validation loss on all held-out characters " if event.whole else f"validation loss {events.ESTIMATE}"
            )
            star = "  best so far" if event.best and not event.whole else ""
            nats, bits = loss_figure(event.loss), loss_figure(event.loss * BITS_PER_NAT)
            return f"{at}{name}{nats} nats, {bits} bits per character{star}"
        case events.Sampled():
            width = min(SAMPLE_WIDTH, terminal_width() - len(at) - 1)
            return f"{at}{truncate(visible(event.prime + event.text, keep=''), width)}"
        case events.Decided() if event.steps_left is not None:
            return f"{at}{plural(event.steps_left, 'step')} left, to keep the time limit"
        case events.Controlled():
            return f"{at}{_control_words(event)}"
        case events.Paused():
            return f"{at}paused" + ("" if event.reason == "asked" else f" ({event.reason})")
        case events.Resumed():
            notes = "; ".join(note for note in (event.changes, event.inexact) if note)
            return f"{at}resumed" + (f": {notes}" if notes else "")
        case events.Warned():
            return f"{at}note: {event.message}"
        case events.Finished():
            best = ""
            if event.loss is not None:
                mark = read_before.mark(event.read_share) or ("" if event.is_whole else events.ESTIMATE)
                best = f"; best {mark}{loss_figure(event.loss)} nats, at step {event.best_step:,}"
            word = END_REASONS[event.reason].short if event.reason in END_REASONS else event.reason
            limit = f" (limit: {event.limit})" if event.limit else ""
            busy = slowdown_words(event.slowdown, "was")
            lines = [busy, read_before.words(event.read_share, event.read_by or "")]
            return "\n".join([f"{at}{word} after {duration(event.work_seconds)}{limit}{best}", *filter(None, lines)])
        case events.Failed():
            return f"{at}failed: {event.message}"
        case events.Checkpointed() | events.Event():
            return None


def _control_words(event: events.Controlled) -> str:
    """A command that the run carries out, in words."""
    value = 0.0 if event.value is None else event.value
    match event.command:
        case "finish":
            return f"finishing: the learning rate falls to zero in {plural(round(value), 'step')}"
        case "more":
            return f"{event.minutes or 0.0:g} minutes more: {plural(round(value), 'step')} left"
        case "set-lr":
            return f"learning rate set to {value:g}"
        case "stop":
            return "stopping: writing a checkpoint"
        case command:
            return f"command: {command}"
