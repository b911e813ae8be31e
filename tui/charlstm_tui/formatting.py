"""Figures and states as words, the same on every screen; and foreign text made safe to show.

Only strings: how they look is the widgets' business.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from charlstm.display import duration, loss_figure, scientific, visible
from charlstm.runs.status import RunStatus
from charlstm.text.baselines import BASELINES
from charlstm.training.events import ESTIMATE
from charlstm_tui.run_watcher import RunsState

#: A mark beside every state's word.
STATE_MARKS = {
    "queued": "◌", "starting": "▹", "running": "▶", "paused": "‖", "waiting": "…", "stopped": "□", "finished": "■",
    "failed": "✗", "crashed": "✗",
}  # fmt: skip

BASELINE_NAMES = {
    label: (words, words.partition(" (")[0].removeprefix("letter ")) for label, words in BASELINES.items()
}
"""The simple models that a loss is compared with, as ``charlstm.text.statistics`` calls them, in words: for a list
``last letter (order 1)``, and short for a chart ``last letter``."""


def baseline_name(label: str, *, short: bool = False) -> str:
    """A simple model's label in words: ``order 0`` is "letter frequencies (order 0)". A label without words stays."""
    names = BASELINE_NAMES.get(label)
    return label if names is None else names[short]


def clock(seconds: float | None) -> str:
    """A :func:`duration`, or a dash while it is unknown."""
    return "–" if seconds is None or not abs(seconds) < 1e9 else duration(seconds)  # thirty years


def rough_clock(seconds: float) -> str:
    """An estimate of ``seconds`` to 5 s, half a minute or five minutes, so that measuring again hardly changes it."""
    step = 1 if seconds < 20 else 5 if seconds < 300 else 30 if seconds < 3600 else 300
    return clock(step * round(seconds / step))


def shorten(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters, with its end kept: run names differ there."""
    if len(text) <= width:
        return text
    tail = max(1, width // 2 - 1)
    return f"{text[: width - tail - 1]}…{text[-tail:]}"


IDLE = "not training"
"""The status when nothing trains."""


def status_words(runs_state: RunsState) -> tuple[str, ...]:
    """What the top bar says of training, from the fullest wording to the shortest."""
    live = runs_state.live
    if runs_state.failure:
        return ("✗ the runs cannot be read", "✗ runs")
    if not live:
        return (IDLE,)
    run = live[0]
    status = run.status
    mark = STATE_MARKS[status.state]
    more = f" +{len(live) - 1}" if len(live) > 1 else ""
    running = status.state == "running"
    done = f"{status.percent or 0}%"
    left = f" {clock(status.seconds_left)}" if running and status.seconds_left is not None else ""
    state = " final validation" if status.validated is not None else "" if running else f" {status.state}"

    whole = visible(run.name, keep="")
    short = f"{mark} {shorten(whole, 10)} {done}"
    return (
        f"{mark} {whole} {done}{state}{left}{more}",
        f"{short}{state}{left}{more}",
        f"{short}{left}",
        f"{mark} {done}",
    )


def loss(nats: float | None, bits: bool, *, whole: bool = True, decimals: int = 3) -> str:
    """A loss per character in nats or in bits, a dash before there is one; marked unless it is over the ``whole``
    held-out part."""
    if nats is None:
        return "–"
    if not math.isfinite(nats):
        return "not finite"
    return f"{'' if whole else ESTIMATE}{loss_figure(nats / math.log(2) if bits else nats, decimals)}"


def from_bits(value: float, bits: bool) -> float:
    """A surprise or an entropy, which is given in bits, in bits or in nats."""
    return value if bits else value * math.log(2)


def best_loss(status: RunStatus, bits: bool) -> str:
    """The best loss of a run, with its mark: ``†`` where its model had read the held-out part, else ``~`` before an
    estimate."""
    figure = loss(status.loss, bits)
    return f"{status.mark}{figure}" if figure[0].isdigit() else figure


def unit(bits: bool) -> str:
    """The name of the unit that losses per character are shown in."""
    return "bits" if bits else "nats"


def learning_rate(rate: float | None) -> str:
    """A learning rate as people write it: ``2.4e-3``, ``50``."""
    if rate is None or not math.isfinite(rate):
        return "–"
    return f"{rate:g}" if not rate or 1 <= rate < 1e4 else scientific(rate)


def typed_path(text: str) -> Path:
    """The path that a person typed; ``~`` is their home, ``~name`` a name as any other where no user is called so. Ask
    ``os.path`` what is there: the methods of ``Path`` raise for a name that is too long."""
    return Path(os.path.expanduser(text.strip()))


def working_folder() -> Path:
    """The folder that the app works in, also when it has been removed meanwhile."""
    try:
        return Path.cwd()
    except OSError:
        return Path(os.environ.get("PWD", os.sep))


def home(path: Path | str) -> str:
    """A path as people write it, with ``~`` for their home."""
    text, folder = os.path.normpath(path) if path else "", os.path.expanduser("~").rstrip("/")
    return "~" + text[len(folder) :] if text == folder or text.startswith(folder + "/") else text
