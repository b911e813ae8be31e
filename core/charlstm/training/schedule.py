"""The learning rate of every step, and what people and the clock changed about it, as data.

A schedule is a first plan and a list of amendments; both are JSON-ready, so that a resumed run has the rates of the
run that would have been. Free of torch. Who amends, and when, is the trainer's business.
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
"""Part of the added steps in which *more* climbs back to its rate."""


def superseded_commands(changed: Collection[str]) -> set[str]:
    """Commands whose earlier say ends with a resume that changes the settings of these names."""
    return {command for command, names in (("set-lr", {"lr"}), ("finish", LENGTH)) if names.intersection(changed)}


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change from step ``step`` on (that step is the first with the new rate). ``id`` is the command's, if any.

    - ``set-lr``: the rest is rescaled so that the rate at ``step`` is ``value``; no step is added or taken.
    - ``finish``: the rate falls in a straight line to zero over ``value`` steps; then the run ends.
    - ``replan``: the run ends after ``value`` more steps, with the rest of the curve stretched or squeezed to fit.
    - ``more``: ``value`` more steps: the rate climbs again to ``peak`` and then takes the schedule's shape to zero.
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
    """``rate(step)`` for steps 0 … ``planned_steps`` − 1, each the rate with which that step is taken.

    First a climb in a straight line over ``warmup_steps`` (the last of them has the full rate), then ``shape``:
    constant, or in a straight line or half a cosine towards zero, which would be reached just after the last step.
    """

    lr: float
    shape: Shape
    warmup_steps: int
    first_plan: int
    amendments: tuple[Amendment, ...] = ()

    @property
    def planned_steps(self) -> int:
        """Steps that the run has in all, as amended."""
        planned = self.first_plan
        for change in self.amendments:
            if change.kind != "set-lr":
                planned = change.step + max(1, int(change.value))
        return planned

    @property
    def finishing(self) -> bool:
        """Whether the end was brought near by hand, and nobody asked for more since."""
        return [change.kind for change in self.amendments if change.kind != "set-lr"][-1:] == ["finish"]

    @property
    def extended(self) -> bool:
        """Whether more was asked for when the run had come to its end."""
        return any(change.kind == "more" for change in self.amendments)

    def rate(self, step: int) -> float:
        """The learning rate of step ``step``, counted from 0."""
        planned = [self.first_plan]
        for change in self.amendments:
            planned.append(planned[-1] if change.kind == "set-lr" else change.step + max(1, int(change.value)))
        # From the latest change back to the one that says what the rate is; those between scale it or move the step.
        place, scaled = float(step), list[Amendment]()
        for change, before in zip(reversed(self.amendments), reversed(planned[:-1]), strict=True):
            since, length = place - change.step, max(1, int(change.value))
            if since < 0:
                continue
            if change.kind == "set-lr":
                scaled.append(change)
            elif change.kind == "replan":
                place = change.step + since * max(1, before - change.step) / length
            else:
                rate = self._fixed(change, since, length)
                break
        else:
            rate = self._first(place)
        for change in reversed(scaled):
            rate = change.value * (rate / change.start) if change.start > 0 else change.value
        return rate

    def amended(self, change: Amendment) -> Self:
        """The schedule with ``change`` from its step on. Amendments come in the order of their steps."""
        return replace(self, amendments=(*self.amendments, replace(change, start=self.rate(change.step))))

    def knows(self, id: str) -> bool:
        """Whether the command ``id`` has already amended this schedule."""
        return any(change.id == id for change in self.amendments)

    def _fixed(self, change: Amendment, since: float, length: int) -> float:
        """The rate ``since`` steps after *finish* or *more*, which ask of what was before only where to start."""
        if change.kind == "finish":
            return change.start * max(0.0, 1 - since / length)
        peak = self.lr if change.peak is None else change.peak
        climb = max(1, round(REWARM * length))
        low = min(peak, change.start)
        if since < climb:
            return low + (peak - low) * (since + 1) / climb
        return peak * self._fall((since - climb) / max(1, length - climb))

    def _first(self, step: float) -> float:
        if step < self.warmup_steps:
            return self.lr * min(1.0, (step + 1) / self.warmup_steps)
        return self.lr * self._fall((step - self.warmup_steps) / max(1, self.first_plan - self.warmup_steps))

    def _fall(self, part: float) -> float:
        """The shape after the climb: 1 at ``part`` 0; at 1 and beyond, its end."""
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
