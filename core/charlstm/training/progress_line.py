"""Show how far training is in one line, from its events."""

from __future__ import annotations

import sys
from typing import Self, TextIO

from charlstm.display import duration, loss_figure, visible
from charlstm.line import TerminalLine
from charlstm.text import read_before
from charlstm.training import events

INTERVAL = 10.0
"""Seconds between two lines where a line cannot be written over."""


class ProgressLine:
    """Prints the events of training as one line with step, losses, speed and the time that is left.

    It is a callback: ``trainer.train(ProgressLine())``, as with ``train(progress=True)``. In a terminal and
    in a notebook the line is written over; elsewhere, such as in a file, a new one comes every 10 seconds. Warnings,
    waits for the disk and the end get lines of their own. As a context manager it ends the line when training is
    interrupted.

    Args:
        file: where to print; None is standard output at the time of each event.
        enabled: False prints nothing.
        planned_steps: of a training whose start was before the first event.
    """

    def __init__(self, file: TextIO | None = None, *, enabled: bool = True, planned_steps: int | None = None) -> None:
        self._line = TerminalLine(lambda: file or sys.stdout, enabled=enabled, every=INTERVAL)
        self._planned = planned_steps
        self._step: events.Stepped | None = None
        self._loss: float | None = None
        self._waits = False
        """Whether training waits for something that nobody asked for, such as a full disk."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.end()

    def __call__(self, event: events.Event) -> None:
        """Take the next event and print what it changes."""
        match event:
            case events.Started():
                self._planned, self._step, self._loss = event.planned_steps, None, None
                self._line.draw(None, f"training {event.parameters:,} weights")
            case events.Resumed():
                self._planned = event.planned_steps or self._planned
                if self._waits:
                    self._waits = False
                    self._print_above("Training continues")
            case events.Paused() if event.reason != "asked":
                self._waits = True
                self._print_above(f"Training waits: {event.reason}")
            case events.Controlled(command="finish" | "more") if event.value is not None:
                self._planned = event.step + round(event.value)
            case events.Decided() if event.steps_left is not None:
                self._planned = event.step + event.steps_left
            case events.Stepped():
                self._step = event
                self._line.draw(None, self._figures(event))
            case events.Validated():
                self._loss = event.loss
                if self._step is not None:
                    self._line.draw(None, self._figures(self._step))
            case events.Warned() | events.Failed():
                self._print_above(event.message)
            case events.Finished():
                self._line.clear()
                mark = read_before.mark(event.read_share)
                loss = ""
                if event.loss is not None:
                    loss = f" · loss {mark}{loss_figure(event.loss)} at step {event.best_step:,}"
                took = duration(event.work_seconds)
                self._print_above(f"{event.reason}: {event.step:,} steps in {took}{loss}")

    def _figures(self, event: events.Stepped) -> str:
        parts = [f"step {event.step:,}"]
        if self._planned:
            parts[0] += f" of {self._planned:,} ({100 * min(1.0, event.step / self._planned):.0f} %)"
        parts.append(f"loss {event.train_loss:.3f}")
        if self._loss is not None:
            parts.append(f"held out {self._loss:.3f}")
        parts.append(f"{event.chars_per_second:,.0f} characters/s")
        if self._planned and event.step >= self._planned:
            parts.append("final validation")
        elif self._planned and event.step:
            parts.append(f"{duration(event.work_seconds * max(0, self._planned - event.step) / event.step)} left")
        return " · ".join(parts)

    def _print_above(self, line: str) -> None:
        if self._line.enabled:
            self._line.print_above(visible(line, keep=""))
