"""What Train says of a run: its headline, figures, progress and ending, as data for the widgets. No widgets here."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from charlstm.display import as_sentence, visible
from charlstm.runs.contention import Contention
from charlstm.runs.folder import RunSpec
from charlstm.runs.series import Curve, CurveName, RunSeries
from charlstm.runs.status import ESTIMATE
from charlstm.runs.verdict import Verdict, overfitting_since, verdict
from charlstm.training.events import Sampled
from charlstm.training.presets import PRESETS, preset
from charlstm.training.settings import LENGTH
from charlstm_tui import formatting
from charlstm_tui.actions import key_of
from charlstm_tui.formatting import STATE_MARKS, baseline_name, clock, count, size
from charlstm_tui.run_watcher import RunView
from charlstm_tui.train.figures import Figure
from charlstm_tui.train.progress_line import Progress
from charlstm_tui.train.result_card import RunResult
from charlstm_tui.train.run_plan import RISKY_RATE
from charlstm_tui.widgets.chart_painting import BITS

LONG_START = 600.0  # seconds; a run made longer ago is not in its first start
ENDED = ("stopped", "finished", "failed", "crashed")
DONE = {
    "done": "Finished",
    "time": "Finished at its time limit",
    "patience": "Finished early: validation had stopped improving",
    "diverged": "Ended: the loss ran away",
    "stopped": "Stopped",
}


def origin(lineage: Mapping[str, object] | None) -> str:
    """Where the first weights came from."""
    if not lineage:
        return "from nothing"
    if isinstance(run := lineage.get("run"), str) and run:
        return f"from {run}"
    if isinstance(path := lineage.get("from"), str) and path:
        return f"from {PurePath(path).name}"
    return "from a model"


def headline(view: RunView | None, spec: RunSpec | None, series: RunSeries | None) -> list[str]:
    """Text, preset, origin, network and parameters, the most important first."""
    parts = [view.text, view.preset] if view is not None else []
    if spec is not None:
        settings = spec.settings
        parts = [spec.corpus_name, spec.preset, origin(spec.lineage)]
        parts.append(f"{settings.num_layers}×{settings.hidden_size}")
    if series is not None and series.started is not None:
        parts.append(f"{count(series.started.parameters)} parameters")
        parts.append(f"{series.started.device}, {series.started.kernel}")
    return [visible(part) for part in parts if part]


def figures(series: RunSeries, view: RunView | None, bits: bool, curves: bool = True) -> list[Figure]:
    """The side figures, the most important first; with ``curves``, how some of them went."""
    last, best_loss = series.last_step, series.best_val
    nats = series.val_loss if best_loss is None else best_loss
    other = None if nats is None else nats * (1 if bits else BITS)
    mark = "" if series.best_whole else ESTIMATE
    train = formatting.loss(series.train_loss, bits, decimals=3)
    validation = formatting.loss(series.val_loss, bits, whole=series.val_whole, decimals=3)
    best = formatting.loss(best_loss, bits, whole=series.best_whole, decimals=3)
    rate = formatting.learning_rate(last.lr if last else None)
    found = [
        Figure("train", train, "·", "$train", short=True),
        Figure("valid", validation, "o", "$valid", short=True),
        Figure("best", best, "◆", "$success", short=True),
        Figure("nats" if bits else "bits", "–" if other is None else f"{mark}{other:.3f}", short=True),
        Figure("rate", rate, curve=_small(series, "lr", curves), short=True),
    ]
    speed = series.chars_per_second
    found.append(
        Figure("chars/s", "–" if speed is None else f"{speed:,.0f}", curve=_small(series, "speed", curves), short=True)
    )
    if last is not None:
        found.append(Figure("gradient", f"{last.grad_norm:.2f}", curve=_small(series, "grad_norm", curves)))
        found.append(Figure("epoch", f"{last.epoch:.2f}"))
    planned = series.planned_steps
    found.append(Figure("step", f"{series.step:,}" + (f"/{planned:,}" if planned else "")))
    if view is not None and view.status.memory:
        found.append(Figure("memory", size(view.status.memory)))
    return found


def _small(series: RunSeries, line: CurveName, wanted: bool) -> Curve | None:
    """A line's means over sixty stretches, when it is wanted and worth drawing."""
    curve = series.points(line) if wanted else None
    if curve is None or len(curve) < 3:
        return None
    starts = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), 60)).astype(int))
    known = np.isfinite(curve.y)
    counts = np.add.reduceat(known, starts, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return Curve(curve.x[starts], np.add.reduceat(np.where(known, curve.y, 0), starts) / counts)


def progress(view: RunView | None) -> tuple[Progress, str]:
    """How far the run is, for the progress line, and the CSS class of that: none, ``-held``, ``-done``, ``-broken``."""
    if view is None:
        return Progress(None, words="starting"), ""
    status = view.status
    state, mark = status.state, STATE_MARKS[status.state]
    worked = status.work_seconds or None
    if status.elsewhere and status.alive:
        return Progress(status.progress, worked, words=f"{mark} {state} on {visible(status.host)}"), ""
    if state == "running":
        words = "" if status.validated is None else f"final validation {int(100 * status.validated)} %"
        return Progress(status.progress, worked, status.seconds_left, words), ""
    words, done = f"{mark} {state}", status.progress
    if state == "starting":
        done = None
        if 0 <= (age := time.time() - view.created) < LONG_START:
            words = f"{mark} starting {clock(age)}"
    styles = {"paused": "-held", "waiting": "-held", "stopped": "-held", "finished": "-done", "starting": ""}
    return Progress(done, worked, words=words), styles.get(state, "-broken")


def keys_for(judged: Verdict) -> str:
    """The keys that matter for a run with this verdict, with what they do."""
    keys = _KEYS[judged.kind]
    if needs_lower_rate(judged):
        keys = {"finished": (_PLAY, _NEW), "worsening": _KEYS["rising"]}.get(judged.kind, keys)
    return ", ".join(f"{key_of(action)} {words}" for action, words in keys)


def needs_lower_rate(judged: Verdict) -> bool:
    """Whether a run's loss rises, or rose or came to rest before it ended, because its learning rate is too high."""
    if judged.kind == "worsening":
        return not judged.train_falls
    return judged.kind in ("diverging", "diverged") or judged.rate_too_high


_STOP = ("train.stop", "stop")
_RUNNING = (("train.pause", "pause"), _STOP)
_RESUME = ("train.resume", "resume")
_PLAY = ("train.play", "play it")
_NEW = ("train.new", "new run")
_KEYS = {
    "starting": (_STOP,),
    "learning": _RUNNING,
    "flattening": (("train.rate", "lower rate"), _STOP),
    "worsening": (_STOP,),
    "recovering": _RUNNING,
    "overfitting": (_STOP,),
    "climbing": _RUNNING,
    "stuck": (("train.rate", "another rate"), _STOP),
    "rising": (("train.rate", "lower rate"), _STOP),
    "diverging": (("train.rate", "lower the rate"), _STOP),
    "validating": (_STOP,),
    "paused": (("train.pause", "continue"), _STOP),
    "waiting": (_STOP,),
    "stopped": (_RESUME, _PLAY),
    "finished": (_PLAY, ("train.more_after", "more minutes")),
    "diverged": (("train.resume", "resume with a lower rate"), _NEW),
    "failed": (_RESUME,),
    "crashed": (_RESUME,),
}


def run_result(
    view: RunView, series: RunSeries, spec: RunSpec | None, bits: bool, references: Sequence[tuple[str, float]]
) -> RunResult:
    """The card for a run that is over, however it ended."""
    status = view.status
    finished = series.finished
    reason = finished.reason if finished is not None else ""
    broken = status.state in ("failed", "crashed") or reason == "diverged"
    held = status.state == "stopped"
    poor = None if broken or held else poor_result(series, view, spec, references, bits)
    titles = {"failed": "Failed", "crashed": "Crashed", "stopped": f"Stopped at step {series.step:,}"}
    title = DONE["diverged"] if reason == "diverged" else titles.get(status.state, DONE.get(reason, "Finished"))
    loss, whole = series.best_val, series.best_whole
    if loss is None:
        loss, whole = status.best_val, status.best_whole
    words = status.message or (series.failed.message if series.failed is not None else "")
    measures = ""
    lines: list[str] = []
    if loss is not None and math.isfinite(loss):
        own, other = ("bits", "nats") if bits else ("nats", "bits")
        in_other = loss if bits else loss * BITS
        where = "held-out text" if whole else "slices of the held-out text, an estimate"
        best = "" if series.best_step == 0 else ", best"
        measures = f"{own} per character{best} on {where} ({in_other:.3f} {other})"
    elif not broken:
        lines.append("No text was held out, so there is no validation loss.")
    if poor is None:
        lines.append(_busy_words(series))
    best_step = series.best_step
    if best_step == 0 and loss is not None:
        lines.append("of the model from before training: no step has improved it")
    elif best_step is not None and loss is not None:
        lines.append(f"at step {best_step:,} of {series.planned_steps or series.step:,}")
    lines.append(_times(series, spec))
    if loss is not None and (beaten := [baseline_name(label) for label, nats in references if loss < nats]):
        lines.append(f"better than {_and(beaten)}" + ("" if whole else ", by this estimate"))
    since = overfitting_since(series)
    if since is not None and poor is None:
        lines.append(f"overfitted after step {since.step:,}: more text or dropout would help")
    keys = []
    if status.state != "finished" or reason == "diverged":
        keys.append(f"{key_of('train.resume')} resume{', lower rate' if reason == 'diverged' else ''}")
    if view.run.model_path.is_file():
        keys.append(f"{key_of('train.play')} play it")
    if reason == "diverged":
        keys.append(f"{key_of('train.new')} new run")
    elif poor is not None and poor.lower_rate:
        keys.append(f"{key_of('train.new')} new run with a lower rate")
    elif status.state == "finished":
        keys.append(f"{key_of('train.more_after')} more minutes")
    keys.append(f"{key_of('app.back')} samples")
    sample = _sample_of_best(series)
    return RunResult(
        title=f"{title}{', but it has learnt little' if poor else ''} · {view.name}",
        figure=formatting.loss(loss, bits, decimals=3) if loss is not None and math.isfinite(loss) else "",
        words=as_sentence(visible(words)) if broken or held else poor.words if poor else "",
        measures=measures,
        facts=tuple(line for line in lines if line),
        prime=sample.prime if sample else "",
        sample=sample.text[:400] if sample else "",
        keys="   ".join(keys),
        state="broken" if broken else "held" if held else "poor" if poor else "good",
    )


def _sample_of_best(series: RunSeries) -> Sampled | None:
    """What the model that is played wrote: the sample at its step, or the last before it.

    While the best model is the untrained network, the last snapshot is played.
    """
    best_step = series.best_step or math.inf
    return next((sample for sample in reversed(series.samples) if sample.step <= best_step), None)


@dataclass(frozen=True, slots=True)
class PoorResult:
    """What is wrong with the model of a run that ended, why, and what to do. ``lower_rate``: another run needs a lower
    learning rate, and more minutes would not help."""

    words: str
    lower_rate: bool


def poor_result(
    series: RunSeries, view: RunView, spec: RunSpec | None, references: Sequence[tuple[str, float]], bits: bool
) -> PoorResult | None:
    """What is wrong with the model of a run that ended; ``None`` for one that has learnt something.

    A model that is no better than one which sees the letter before alone writes gibberish. One that is worse than the
    simple models of two letters or than a compressor has hardly learnt a word.
    """
    baselines = dict(references)
    judged = verdict(series, view.status, order0=baselines.get("order 0"))
    if judged.kind != "finished":
        return None
    useless, effect = judged.useless, "writes gibberish"
    best = math.inf if judged.best_val is None else judged.best_val
    beaten_by = [label for label in ("order 1", "order 2", "xz") if baselines.get(label, math.inf) <= best < math.inf]
    if useless is None and beaten_by:
        label = beaten_by[0]
        useless = _BEATEN_BY.get(label, f"a model of the {baseline_name(label, short=True)} alone"), baselines[label]
        effect = effect if label == "order 1" else "writes few real words"
    too_high = judged.rate_too_high or (useless is not None and (judged.rose_above_guessing or _is_risky(spec)))
    unit = formatting.unit(bits)
    if judged.train_losses is not None:
        low, last = (formatting.loss(loss, bits) for loss in judged.train_losses)
        words = [f"It diverged: the training loss rose from {low} to {last} {unit}"]
    elif useless is not None:
        model = "Its best model" if judged.best_step != 0 else "Its model, still the one from before training,"
        name, loss = useless
        words = [f"{model} is no better than {name} ({formatting.loss(loss, bits)} {unit}), so that it {effect}"]
    elif judged.best_step == 0:
        words = ["No step has improved the model that training began with. A lower rate or more text may help"]
    else:
        return None
    if busy := _busy_words(series).rstrip("."):
        words.append(busy)
    if too_high:
        rate = "" if spec is None else f", {formatting.learning_rate(spec.settings.lr)}, was"
        words.append(f"The learning rate{rate or ' was'} too high: {key_of('train.new')} trains anew with a lower one")
    elif useless is not None:
        words.append(f"{key_of('train.more_after')} trains it for more minutes")
    ready = f"{key_of('app.mode_generate')}, then {key_of('generate.open_model')}, opens a model that reads well"
    return PoorResult(f"{'. '.join(words)}; {ready}.", too_high)


_BEATEN_BY = {"xz": "a file compressor"}


def _is_risky(spec: RunSpec | None) -> bool:
    """Whether the learning rate of a run is so many times that of its preset that it is likely to be too high."""
    return spec is not None and spec.preset in PRESETS and spec.settings.lr >= RISKY_RATE * preset(spec.preset).lr


def _busy_words(series: RunSeries) -> str:
    """How much slower a run that ended was because of other programs; empty where that is not worth a word."""
    finished = series.finished
    return "" if finished is None else Contention(finished.slowdown or 1.0, finished.others_first).describe("was")


def _times(series: RunSeries, spec: RunSpec | None) -> str:
    """The time of the run, beside what was planned for it when a time limit was to end it."""
    if not series.work_seconds:
        return ""
    words = f"took {clock(series.work_seconds)}"
    minutes = spec.settings.max_minutes if spec is not None else None
    planned_by_time = series.started is not None and series.started.limit == "max_minutes"
    return f"{words}, {clock(60 * minutes)} planned" if minutes and planned_by_time and not series.inexact else words


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def remarks(series: RunSeries) -> list[str]:
    """What the worker wants a person to read of the run, a sentence each: its last warning, its last uneven resume."""
    found = [as_sentence(series.warnings[-1].message)] if series.warnings else []
    if series.inexact:
        event = series.inexact[-1]
        changes = event.changes
        if event.changed and LENGTH.issuperset(event.changed) and event.planned_steps is not None:
            changes = f"the run was lengthened to {event.planned_steps:,} steps"
        notes = "; ".join(note for note in (changes, event.inexact) if note)
        found.append(as_sentence(f"continues from step {event.step:,}: {notes}"))
    return found
