"""Calibrate the best model of a run and measure its loss on all held-out text, or on as much of it as there is time
for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from charlstm.engine.evaluation import Evaluation, best_logit_factor, evaluate
from charlstm.engine.network import CharLSTM
from charlstm.model.file import Model
from charlstm.text.batches import TrainingText
from charlstm.training.plan import CALIBRATION_CHARS, Plan, final_seconds, planned_final
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
    allowed, planned = final_seconds(settings, worked), planned_final(settings, seconds, worked)
    held_out, limit = text.held_out_targets, None
    part = min(1.0, planned / seconds) if seconds > allowed else 1.0
    if plan.val_chars >= held_out:  # every validation has read all of it
        part, allowed = 1.0, math.inf
    if part < 1.0:
        limit = int(held_out * part)
    figure: Evaluation | None = None
    if limit is None or limit > plan.val_chars:
        start = time.perf_counter()

        def done(chars: int, total: int) -> None:
            passed = time.perf_counter() - start
            report(min(1.0, max(chars / max(total, 1), passed / allowed)))
            if passed > allowed and chars < total:
                raise _TooSlow

        try:
            best, figure = _calibrate_and_evaluate(
                best, text, settings, plan, limit, int(CALIBRATION_CHARS * part), done
            )
        except _TooSlow:
            figure = None
    if figure is not None and limit is None:
        return FinalLoss(best, figure, True, "")
    read = plan.val_chars if figure is None else figure.chars
    warning = (
        f"The loss is an estimate from {read:,} of {held_out:,} held-out characters: all of them would take about "
        f"{max(seconds, allowed):,.0f} s"
    )
    return FinalLoss(best, figure, False, warning)


def _calibrate_and_evaluate(
    best: Model,
    text: TrainingText,
    settings: Settings,
    plan: Plan,
    limit: int | None,
    calibration_chars: int,
    done: Callable[[int, int], None],
) -> tuple[Model, Evaluation]:
    """The model, its logits scaled with ``calibrate``, and its loss on ``limit`` held-out characters or all of them."""
    reads = text.held_out_targets if limit is None else limit
    first = min(calibration_chars, text.held_out_targets) if settings.calibrate else 0
    network = CharLSTM.from_model(best).to(plan.device)
    if first:
        factor = best_logit_factor(
            network, text.ids, text.held_out, first, progress=lambda chars: done(min(chars, first), first + reads)
        )
        scaled = {name: factor * best.weights[name] for name in ("fc.weight", "fc.bias")}
        best = replace(best, weights={**best.weights, **scaled})
        network = CharLSTM.from_model(best).to(plan.device)
    figure = evaluate(
        network, text.ids, text.held_out, limit, progress=lambda chars, total: done(first + chars, first + total)
    )
    return best, figure
