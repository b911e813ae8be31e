"""The question for a lower learning rate, before a run that diverged is resumed: by exact resume it diverges again."""

from __future__ import annotations

import math

from charlstm.runs.folder import Run
from charlstm.training.ending import RESUME_QUESTION, RESUME_TITLE, lower_rate
from charlstm_tui.dialogs import PromptDialog
from charlstm_tui.formatting import learning_rate


def rate_to_resume(run: Run) -> float | None:
    """The learning rate to propose before ``run`` is resumed; ``None`` for one that did not diverge. Reads its log.
    Raises :class:`~charlstm.errors.RunError`."""
    from charlstm.runs.series import RunSeries  # 0.3 s, with numpy: not before the first paint of Runs
    from charlstm.runs.verdict import judge

    if judge(RunSeries.of(run.events()), run.status()).kind != "diverged":
        return None
    return lower_rate(run.spec().settings.lr)  # what an earlier resume changed is in it


def check_rate(text: str) -> str | None:
    """A sentence if ``text`` is no learning rate."""
    return None if 0 < number(text) <= 1000 else "A learning rate is a number above zero, such as 1e-3."


def number(text: str) -> float:
    """``text`` as a number, not-a-number if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


class LowerRateDialog(PromptDialog):
    """Returns the learning rate as it is typed, or ``None``. ``rate`` is proposed."""

    def __init__(self, rate: float) -> None:
        super().__init__(RESUME_TITLE, RESUME_QUESTION, learning_rate(rate), check=check_rate)
