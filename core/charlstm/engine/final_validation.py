"""Calibrate the best model of a run and measure its loss on all held-out text, or on as much of it as there is time
for."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from charlstm.engine.evaluation import Evaluation, best_logit_factor, evaluate
from charlstm.engine.network import CharLSTM
from charlstm.model.file import Model
from charlstm.text.batches import TrainingText
from charlstm.training.plan import CALIBRATION_CHARS, ESTIMATE_SHARE, Plan, final_seconds
from charlstm.training.settings import Settings


class _TooSlow(Exception):
    """The final validation takes longer than it may."""


@dataclass(frozen=True, slots=True)
class FinalLoss:
    """``best`` is the model with its logits scaled, if the settings want that. ``figure`` is its loss; ``None`` where
    there was no time to read more than the validations of the training have read. ``whole``: it is over all held-out
    text. ``warning`` says how much was read, if not all."""

    best: Model
    figure: Evaluation | None
    whole: bool
    warning: str


def validate_best(
    best: Model,
    text: TrainingText,
    settings: Settings,
    plan: Plan,
    *,
    seconds: float,
    worked: float,
    report: Callable[[float], None],
) -> FinalLoss:
    """Validate ``best``, the best model of a run that has worked for ``worked`` seconds, on the held-out part.

    ``seconds``: what calibration and all of it would take. ``report`` is called with the share that is done, 0 to 1, by
    the characters or, where these are too slow, by the time it may take; what it raises ends this.
    """
    allowed, held_out, part = final_seconds(settings, worked), text.held_out_targets, 1.0
    if plan.val_chars >= held_out:  # every validation has read all of it
        allowed = math.inf
    elif seconds > allowed:
        part = ESTIMATE_SHARE * allowed / seconds
    reads = int(held_out * part)
    read_first = min(int(CALIBRATION_CHARS * part), held_out) if settings.calibrate else 0
    start = time.perf_counter()

    def done(chars: int) -> None:
        passed = time.perf_counter() - start
        report(min(1.0, max(chars / max(read_first + reads, 1), passed / allowed)))
        if passed > allowed and chars < read_first + reads:
            raise _TooSlow

    found, figure = best, None
    if part == 1.0 or reads > plan.val_chars:
        with contextlib.suppress(_TooSlow):
            if read_first:
                found = _calibrated(best, text, plan, read_first, done)
            figure = evaluate(
                CharLSTM.from_model(found).to(plan.device), text.ids, text.held_out, None if part == 1.0 else reads,
                progress=lambda chars, _: done(read_first + chars),
            )  # fmt: skip
    if figure is not None and part == 1.0:
        return FinalLoss(found, figure, True, "")
    read = plan.val_chars if figure is None else figure.chars
    warning = (
        f"The loss is an estimate from {read:,} of {held_out:,} held-out characters: all of them would take about "
        f"{max(seconds, allowed):,.0f} s"
    )
    return FinalLoss(best if figure is None else found, figure, False, warning)


def _calibrated(best: Model, text: TrainingText, plan: Plan, chars: int, done: Callable[[int], None]) -> Model:
    """``best`` with its logits scaled so that about so many held-out characters are the most likely."""
    network = CharLSTM.from_model(best).to(plan.device)
    factor = best_logit_factor(network, text.ids, text.held_out, chars, progress=lambda read: done(min(read, chars)))
    scaled = {name: factor * best.weights[name] for name in ("fc.weight", "fc.bias")}
    return replace(best, weights={**best.weights, **scaled})
