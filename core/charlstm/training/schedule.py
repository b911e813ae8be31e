"""The learning rate of every step.

A schedule starts as a decay after a warm-up, linear or another. Amendments change it later: commands such as
``set-lr`` and ``finish``, the time limit, and the extension of a run add one each. A schedule can be written as JSON
and is part of the exact state, so that a resumed run has the same rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self, assert_never

from charlstm.training.settings import Schedule as Decay

Kind = Literal["set-lr", "finish", "replan", "extend"]
REWARM_FRACTION = 0.1
"""The rate of an extended run first climbs to its peak again, in this fraction of the added steps."""


def climb_steps(added: int) -> int:
    """The steps in which the rate of a run that is extended by ``added`` steps climbs again."""
    return max(1, round(REWARM_FRACTION * added))


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change of the schedule. ``step`` is the first step with the new rate, ``id`` that of the command, if any.

    - ``set-lr``: the rest is rescaled so that the rate at ``step`` is ``value``. The end stays. With ``ends_climb``, a
      climb that is under way (the warm-up, or that of an extension) ends: the rate stays at ``value`` until the climb
      would have been over, then it follows the schedule's decay from there.
    - ``finish``: the rate falls linearly to zero over ``value`` steps; then the run ends.
    - ``replan``: the run ends after ``value`` more steps, with the rest of the curve stretched to fit. The command
      ``more`` makes it, which sets an ``id``, and so does the clock of a run with ``max_minutes``.
    - ``extend``: a run that had ended is extended by ``value`` steps, in which the rate climbs to ``peak`` and then
      follows the schedule's decay again.
    """

    step: int
    kind: Kind
    value: float
    id: str = ""
    peak: float | None = None
    start: float = 0.0
    """The rate at ``step`` before this change (with ``ends_climb``: without the climb); :meth:`LearningRate.amended`
    fills it in."""
    ends_climb: bool = False
    """Of ``set-lr``: whether a climb ends. Commands end it. A change of ``lr`` at a resume does not, since ``lr`` is
    the peak of the climb."""


@dataclass(frozen=True, slots=True)
class LearningRate:
    """The learning rate of steps 0 … ``planned_steps`` − 1.

    It climbs linearly over ``warmup_steps``, the last of which has the full rate ``lr``. Then it follows ``decay``: it
    stays constant, or falls linearly or as a cosine. A falling rate is 0 at step ``planned_steps``, the first step that
    is not trained any more.
    """

    lr: float
    decay: Decay
    warmup_steps: int
    first_plan: int
    """The steps of the run in total as planned at its start, before all amendments."""
    amendments: tuple[Amendment, ...] = ()

    @property
    def planned_steps(self) -> int:
        """The steps of the run in total, after all amendments."""
        last = self._last_move
        return self.first_plan if last is None else last.step + max(1, int(last.value))

    @property
    def _last_move(self) -> Amendment | None:
        """The last change of the end, if there was one."""
        return next((change for change in reversed(self.amendments) if change.kind != "set-lr"), None)

    @property
    def finishing(self) -> bool:
        """Whether the run is ending by the command ``finish`` and was not extended since."""
        return self._last_move is not None and self._last_move.kind == "finish"

    @property
    def ends_by_command(self) -> bool:
        """Whether the command ``finish`` or ``more`` set the end of the run, and nothing has moved it since."""
        return self._last_move is not None and bool(self._last_move.id)

    @property
    def extended(self) -> bool:
        """Whether the run was extended after it had ended."""
        return any(change.kind == "extend" for change in self.amendments)

    def rate(self, step: int, *, climbs: bool = True) -> float:
        """The learning rate of step ``step``, counted from 0. Without ``climbs``, the rate after a climb (the warm-up,
        or the beginning of an extension) stands in the place of the rates during it."""
        planned = [self.first_plan]
        for change in self.amendments:
            planned.append(planned[-1] if change.kind == "set-lr" else change.step + max(1, int(change.value)))
        # Go back from the latest amendment. finish and extend define a curve of their own, so the search ends at the
        # latest of them that has begun, or at the initial curve. On the way, replan stretches the earlier curve, so
        # the step is mapped to a position on it: with an end at 1,000 that step 400 moved to 1,600, step 1,000 is half
        # way from there to the end, as 700 was. set-lr scales the earlier curve, which is done at the end, from the
        # oldest to the latest.
        position, scaled = float(step), list[Amendment]()
        for change, end_before in zip(reversed(self.amendments), reversed(planned[:-1]), strict=True):
            since, length = position - change.step, max(1, int(change.value))
            if since < 0:
                continue
            if change.kind == "set-lr":
                scaled.append(change)
                climbs = climbs and not change.ends_climb
            elif change.kind == "replan":
                position = change.step + since * max(1, end_before - change.step) / length
            else:
                rate = self._finish_or_extend(change, since, length, climbs)
                break
        else:
            rate = self._initial(position, climbs)
        for change in reversed(scaled):
            rate = change.value * (rate / change.start) if change.start > 0 else change.value
        return rate

    def amended(self, change: Amendment) -> Self:
        """The schedule with ``change``. Amendments have to be made in the order of their steps."""
        start = self.rate(change.step, climbs=not change.ends_climb)
        return replace(self, amendments=(*self.amendments, replace(change, start=start)))

    def _finish_or_extend(self, change: Amendment, since: float, length: int, climbs: bool) -> float:
        """The rate ``since`` steps after the start of ``finish`` or ``extend``. It depends on the earlier curve only
        through ``change.start``, the rate at that start."""
        if change.kind == "finish":
            return change.start * max(0.0, 1 - since / length)
        peak = self.lr if change.peak is None else change.peak
        climb = climb_steps(length)
        low = min(peak, change.start)
        if since < climb:
            if not climbs:
                return peak
            return low + (peak - low) * (since + 1) / climb
        return peak * self._decay_factor((since - climb) / max(1, length - climb))

    def _initial(self, step: float, climbs: bool) -> float:
        if step < self.warmup_steps:
            if not climbs:
                return self.lr
            return self.lr * min(1.0, (step + 1) / self.warmup_steps)
        return self.lr * self._decay_factor((step - self.warmup_steps) / max(1, self.first_plan - self.warmup_steps))

    def _decay_factor(self, fraction: float) -> float:
        """The rate after the climb, as a multiple of the peak rate.

        ``fraction`` is how much of the decay is over: 0 at the peak, 1 or more at the end. The factor falls from 1 to
        0; for a constant rate it is always 1.
        """
        fraction = min(1.0, fraction)
        match self.decay:
            case "constant":
                return 1.0
            case "linear":
                return 1 - fraction
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * fraction))
            case _:
                assert_never(self.decay)
