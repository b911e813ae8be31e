"""Why a run ends, and a learning rate that is too high, in words. Losses are in nats per character."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from charlstm.training.settings import Settings

RISKY_RATE = 5
"""A learning rate of so many times the preset's may diverge."""

SMALLER = 10
"""After a learning rate that was too high, one this many times smaller is suggested, or the default if that is lower
still."""


@dataclass(frozen=True, slots=True)
class EndReason:
    """A reason for which a run ends by itself or by command, in words."""

    short: str
    """As in ``out of time after 5:00``."""
    title: str = "Finished"
    why: str = ""
    """As in ``Finished after 5:00: its time limit was reached``."""
    state: Literal["finished", "stopped", "failed"] = "finished"
    """The state that the run is listed with, see :data:`charlstm.runs.status.RunState`."""


END_REASONS = {
    "done": EndReason("finished"),
    "stopped": EndReason("stopped", "Stopped", state="stopped"),
    "time": EndReason("out of time", "Finished at its time limit", "its time limit was reached"),
    "patience": EndReason(
        "no longer improving",
        "Finished early: validation had stopped improving",
        "the validation loss had stopped improving",
    ),
    "diverged": EndReason("diverged", "Ended: the loss ran away", state="failed"),
}
"""The reasons of ``finished`` events."""

DIVERGED_WITHOUT_STATE = "The loss is no longer a number, so this training has no state to continue from"
"""Why the trainer of a run that diverged, in a program that uses the library, cannot give the state of training."""

RESUME_TITLE = "Resume with a lower rate"
RESUME_QUESTION = "The loss ran away. From the last checkpoint on, the highest learning rate is:"
"""What is asked before a run that diverged is resumed."""


def divergence_warning(step: int, rate: float, best_step: int) -> str:
    """The trainer's warning at the end of a run that diverged after ``step``, at this learning ``rate``."""
    return (
        f"The loss is no longer a number after step {step:,}, at learning rate {rate:.2g}, so training stops. "
        f"The best model so far (step {best_step:,}) is kept; try a lower lr or clip"
    )


def divergence_message(step: int) -> str:
    """What the status of a run says that diverged after ``step``."""
    return f"the loss was not a number any more after step {step:,}; a lower learning rate may help"


def lower_rate(rate: float) -> float:
    """The learning rate to suggest after this one was too high."""
    return min(Settings().lr, rate / SMALLER)


def rate_was_too_high(rate: str = "") -> str:
    """That the learning rate, which is named when it is given, was too high, without a full stop."""
    return f"The learning rate{f', {rate},' if rate else ''} was too high"


def risk_words(rate: float, usual: float) -> str:
    """A warning of a learning rate that is many times the preset's, ``usual``; empty for others."""
    times = rate / usual
    return f"The learning rate is {times:,.0f} times the preset's: training may diverge." if times >= RISKY_RATE else ""
