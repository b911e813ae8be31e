"""The learning rate of every step, as data.

A schedule is an initial shape and a list of amendments, by commands and by the time limit. It is JSON-ready and part of
the exact state, so that a resumed run has the same rates.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from charlstm.json_fields import field_readers, typed_fields
from charlstm.training.settings import LENGTH
from charlstm.training.settings import Schedule as Shape

Kind = Literal["set-lr", "finish", "replan", "more"]
REWARM = 0.1
"""Part of the added steps in which the rate of an extended run climbs to its peak."""


def superseded_commands(changed: Collection[str]) -> set[str]:
    """Commands that have no effect any more after a resume that changes the settings ``changed``."""
    return {command for command, names in (("set-lr", {"lr"}), ("finish", LENGTH)) if names.intersection(changed)}


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change of the schedule from ``step`` on: that step is the first with the new rate. ``id`` is that of the
    command, if any.

    - ``set-lr``: the rest is rescaled so that the rate at ``step`` is ``value``. The end stays.
    - ``finish``: the rate falls linearly to zero over ``value`` steps; then the run ends.
    - ``replan``: the run ends after ``value`` more steps, with the rest of the curve stretched to fit.
    - ``more``: ``value`` more steps, in which the rate climbs to ``peak`` and then follows the schedule's shape again.
    """

    step: int
    kind: Kind
    value: float
    id: str = ""
    peak: float | None = None
    start: float = 0.0
    """The rate at ``step`` before this change; :meth:`LearningRate.amended` fills it in."""


@dataclass(frozen=True, slots=True)
class LearningRate:
    """The learning rate of steps 0 … ``planned_steps`` − 1.

    First a linear climb over ``warmup_steps`` (the last of them has the full rate ``lr``), then ``shape``: constant, or
    a linear or cosine fall towards zero, which would be reached just after the last step.
    """

    lr: float
    shape: Shape
    warmup_steps: int
    first_plan: int
    amendments: tuple[Amendment, ...] = ()

    @property
    def planned_steps(self) -> int:
        """The steps of the run in total, after all amendments."""
        planned = self.first_plan
        for change in self.amendments:
            if change.kind != "set-lr":
                planned = change.step + max(1, int(change.value))
        return planned

    @property
    def finishing(self) -> bool:
        """Whether the run is ending by the command ``finish`` and was not extended since."""
        return [change.kind for change in self.amendments if change.kind != "set-lr"][-1:] == ["finish"]

    @property
    def extended(self) -> bool:
        """Whether the run was extended after it had ended."""
        return any(change.kind == "more" for change in self.amendments)

    def rate(self, step: int) -> float:
        """The learning rate of step ``step``, counted from 0."""
        planned = [self.first_plan]
        for change in self.amendments:
            planned.append(planned[-1] if change.kind == "set-lr" else change.step + max(1, int(change.value)))
        # From the latest amendment back to the one that defines the curve. Those in between scale the rate (set-lr) or
        # map the step to a step of the earlier curve (replan).
        position, scaled = float(step), list[Amendment]()
        for change, before in zip(reversed(self.amendments), reversed(planned[:-1]), strict=True):
            since, length = position - change.step, max(1, int(change.value))
            if since < 0:
                continue
            if change.kind == "set-lr":
                scaled.append(change)
            elif change.kind == "replan":
                position = change.step + since * max(1, before - change.step) / length
            else:
                rate = self._finish_or_more(change, since, length)
                break
        else:
            rate = self._initial(position)
        for change in reversed(scaled):
            rate = change.value * (rate / change.start) if change.start > 0 else change.value
        return rate

    def amended(self, change: Amendment) -> Self:
        """The schedule with ``change``. Amendments have to be made in the order of their steps."""
        return replace(self, amendments=(*self.amendments, replace(change, start=self.rate(change.step))))

    def knows(self, id: str) -> bool:
        """Whether the command with this id is one of the amendments."""
        return any(change.id == id for change in self.amendments)

    def _finish_or_more(self, change: Amendment, since: float, length: int) -> float:
        """The rate ``since`` steps after ``finish`` or ``more``: of the earlier curve only the rate at their start
        matters."""
        if change.kind == "finish":
            return change.start * max(0.0, 1 - since / length)
        peak = self.lr if change.peak is None else change.peak
        climb = max(1, round(REWARM * length))
        low = min(peak, change.start)
        if since < climb:
            return low + (peak - low) * (since + 1) / climb
        return peak * self._fall((since - climb) / max(1, length - climb))

    def _initial(self, step: float) -> float:
        if step < self.warmup_steps:
            return self.lr * min(1.0, (step + 1) / self.warmup_steps)
        return self.lr * self._fall((step - self.warmup_steps) / max(1, self.first_plan - self.warmup_steps))

    def _fall(self, part: float) -> float:
        """The shape after the climb, as a factor: 1 where ``part`` is 0, and its end where it is 1 or more."""
        part = min(1.0, part)
        if self.shape == "constant":
            return 1.0
        return 1 - part if self.shape == "linear" else 0.5 * (1 + math.cos(math.pi * part))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self) | {"amendments": [asdict(change) for change in self.amendments]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Raises :class:`KeyError`, :class:`TypeError` or :class:`ValueError`."""
        changes = tuple(Amendment(**typed_fields(Amendment, change)) for change in values["amendments"])
        first = {name: read(values[name]) for name, read in field_readers(LearningRate).items() if name != "amendments"}
        return cls(**first, amendments=changes)
