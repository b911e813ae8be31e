"""What Train says of a run: its headline, figures, progress and ending, as data for the widgets. No widgets here."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import cached_property

from charlstm.display import BITS_PER_NAT, as_sentence, count, plural, shell_command, visible
from charlstm.runs.folder import RunSpec
from charlstm.runs.models import model_words
from charlstm.runs.series import RunSeries
from charlstm.runs.status import NO_WORKER
from charlstm.runs.verdict import STUCK_NEAR, Flaw, NextStep, Verdict, judge
from charlstm.text import read_before
from charlstm.training.ending import RISKY_RATE, rate_was_too_high
from charlstm.training.events import Sampled
from charlstm.training.presets import preset, presets
from charlstm.training.settings import LENGTH
from charlstm_tui import formatting
from charlstm_tui.actions import key_of
from charlstm_tui.formatting import STATE_MARKS, baseline_name, clock
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.train.figures import Figure
from charlstm_tui.train.progress_line import RunProgress
from charlstm_tui.train.result_card import RunResult
from charlstm_tui.train.run_plan import ends_words

LONG_START = 600.0  # seconds; an older run is not in its first start


@dataclass(frozen=True)
class ShownRun:
    """The attached run of ``state``, and what else Train shows of it. ``remark`` stands in place of the verdict.
    ``unplayable``: it has ended without a model that has learnt anything. ``stateless``: it cannot be resumed."""

    state: RunsState = field(default_factory=RunsState)
    spec: RunSpec | None = None
    bits: bool = False
    references: tuple[tuple[str, float], ...] = ()
    remark: str = ""
    unplayable: bool = False
    stateless: bool = False

    @property
    def view(self) -> RunView | None:
        """The run, if it is listed."""
        return self.state.attached_run

    @cached_property
    def series(self) -> RunSeries:
        """What it has logged."""
        return self.state.series or RunSeries()

    @cached_property
    def verdict(self) -> Verdict:
        """How it is doing."""
        status = None if self.view is None else self.view.status
        references, risky = dict(self.references), _is_risky(self.spec)
        return judge(self.series, status, references=references, risky_rate=risky, bits=self.bits)

    @property
    def rate_was_too_high(self) -> bool:
        """Whether another run on this text needs a lower learning rate."""
        judged = self.verdict
        return judged.needs_lower_rate or (judged.flaw is not None and judged.flaw.lower_rate)


def headline(view: RunView | None, spec: RunSpec | None, series: RunSeries | None) -> list[str]:
    """Text, preset, origin, network and parameters, the most important first."""
    parts = [view.text, view.preset] if view is not None else []
    if spec is not None:
        settings = spec.settings
        parts = [spec.corpus_name, spec.preset, f"from {model_words(spec.started_from) or 'nothing'}"]
        parts.append(f"{settings.num_layers}×{settings.hidden_size}")
    if series is not None and series.started is not None:
        parts.append(f"{count(series.started.parameters)} parameters")
        parts.append(f"{series.started.device}, {series.started.kernel}")
    return [visible(part) for part in parts if part]


def beginning(shown: ShownRun) -> str:
    """The words in place of the chart until there is a curve: what the worker does, and the settings of the run."""
    view, spec = shown.view, shown.spec
    if view is None or view.status.state in NO_WORKER:
        return "" if view is None else "no step was taken"
    lines = [visible(shown.verdict.text)]
    if spec is not None:
        settings = spec.settings
        facts = {
            "text": spec.corpus_name,
            "preset": f"{spec.preset}, from {spec.started_from or 'nothing'}",
            "network": f"{plural(settings.num_layers, 'layer')} of {settings.hidden_size}",
            "rate": f"{settings.optimizer} {formatting.learning_rate(settings.lr)}, {settings.schedule}",
            "ends": ends_words(settings),
        }
        lines += ["", *(f"{name:<9}{visible(words)}" for name, words in facts.items())]
    return "\n".join(lines)


def figures(series: RunSeries, bits: bool) -> list[Figure]:
    """The side figures, the most important first. The time stands in the line above them; Runs has more."""
    last, best_loss = series.last_step, series.best_val
    read = read_before.mark(None if series.started is None else series.started.read_share)
    train = formatting.loss(series.train_loss, bits)
    validation = formatting.loss(series.val_loss, bits, whole=series.val_whole)
    best = read + formatting.loss(best_loss, bits, whole=series.best_whole or bool(read))
    rate = formatting.learning_rate(series.next_rate or (last.lr if last else None))
    speed = series.chars_per_second
    found = [
        Figure("train", train, "·", "train", short=True),
        Figure("valid", validation, "o", "validation", short=True),
        Figure("best", best, "◆", "best", short=True),
        Figure("rate", rate, short=True),
        Figure("chars/s", "–" if speed is None else f"{speed:,.0f}", short=True),
    ]
    if last is not None:
        found.append(Figure("epoch", f"{last.epoch:.2f}"))
    if series.first_val is not None:
        found.append(Figure("step 0", formatting.loss(series.first_val, bits, whole=False), "o", "validation"))
    return found


def progress(view: RunView | None) -> tuple[RunProgress, str]:
    """How far the run is, for the progress line, and the CSS class of that: none, ``-held``, ``-done``, ``-broken``."""
    if view is None:
        return RunProgress(None), ""
    status = view.status
    state, mark = status.state, STATE_MARKS[status.state]
    worked = status.work_seconds or None
    if status.elsewhere and status.alive:
        return RunProgress(status.progress, worked, words=f"{mark} {state} on {visible(status.host)}"), ""
    if state == "running":
        words, left = "", status.seconds_left
        if status.validated is not None:
            words = f"final validation {int(100 * status.validated)} %"
        elif not status.step:
            words, left = "before the first step", None
        elif status.planned_steps and status.step >= status.planned_steps:
            words, left = "after the last step", None
        return RunProgress(status.progress, worked, left, words), ""
    words, done = f"{mark} {state}", status.progress
    if state == "starting":
        done = None
        if not status.step and 0 <= (age := time.time() - view.created) < LONG_START:  # else it is a resume
            doing = visible(status.message, keep="")
            words = f"{mark} starting {clock(age)}{doing and f': {doing}'}"
    held = dict.fromkeys(("queued", "paused", "waiting", "stopped"), "-held")
    styles = {**held, "finished": "-done", "starting": ""}
    return RunProgress(done, worked, words=words), styles.get(state, "-broken")


STEP_ACTIONS = {
    NextStep.PAUSE: "train.pause",
    NextStep.CONTINUE: "train.pause",
    NextStep.STOP: "train.stop",
    NextStep.LOWER_RATE: "train.rate",
    NextStep.OTHER_RATE: "train.rate",
    NextStep.RESUME: "train.resume",
    NextStep.RESUME_LOWER: "train.resume",
    NextStep.PLAY: "train.play",
    NextStep.MORE: "train.more",
    NextStep.NEW: "train.new",
    NextStep.NEW_LOWER: "train.new",
}


def keys_for(shown: ShownRun) -> list[str]:
    """The keys that matter for the run, with their help."""
    if shown.view is not None and shown.view.status.elsewhere:
        return []
    steps, flaw = shown.verdict.next_steps, shown.verdict.flaw
    if flaw is not None and flaw.lower_rate:
        steps = (NextStep.PLAY, NextStep.NEW_LOWER)
    out = {"train.play": shown.unplayable, "train.resume": shown.stateless, "train.more": shown.stateless}
    return [f"{key_of(action)} {step.value}" for step in steps if not out.get(action := STEP_ACTIONS[step])]


def run_result(shown: ShownRun) -> RunResult | None:
    """The card for a run that is over, however it ended; ``None`` for another."""
    view, series, judged, bits, flaw = shown.view, shown.series, shown.verdict, shown.bits, shown.verdict.flaw
    if view is None or not judged.has_ended:
        return None
    broken, held = judged.is_broken, judged.kind == "stopped"
    best = judged.best
    measures = ""
    lines: list[str] = []
    if best is not None and math.isfinite(best.loss):
        own, other = ("bits", "nats") if bits else ("nats", "bits")
        in_other = best.loss if bits else best.loss * BITS_PER_NAT
        where = "held-out text" if best.whole else "slices of the held-out text, an estimate"
        measures = f"{own} per character{'' if best.step == 0 else ', best'} on {where} ({in_other:.3f} {other})"
    elif not broken:
        lines.append("No text was held out, so there is no validation loss.")
    if flaw is None:
        lines.append(judged.busy)
    if best is not None and best.step is not None and (best.step or flaw is None):  # a flaw says it too
        at = f"at step {best.step:,} of {series.planned_steps or series.step:,}"
        lines.append(at if best.step else "of the model from before training: no step has improved it")
    lines.append(read_before.words(view.status.read_share, view.status.read_by or ""))
    lines.append(_times(series, shown.spec))
    if flaw is None and judged.from_model is not None:
        lines.append(judged.from_model.describe(bits))
    beaten = []
    if best is not None and not read_before.is_much(view.status.read_share):
        # by so much that no other sentence denies it; without those that the model from before training beat
        first = math.inf if judged.from_model is None else judged.from_model.validation.before
        limits = ((nats * (1 - STUCK_NEAR), baseline_name(name)) for name, nats in shown.references)
        beaten = [(limit, name) for limit, name in limits if best.loss <= limit < first]
    if beaten:  # the best of the simple models: so better than the others too
        estimate = "" if best is None or best.whole else ", by this estimate"
        lines.append(f"better than {min(beaten)[1]}{estimate}")
    if flaw is None:
        lines.append(judged.overfitted)
    if judged.kind == "finished":
        lines.append(as_sentence(visible(judged.remark)))
    if judged.kind == "finished" and best is not None and not best.whole:
        lines.append(f"an estimate: {shell_command('eval', view.name)} reads all of the held-out text")
    before, sample = _samples(series, judged)
    words = "" if flaw is None else _flaw_words(flaw, shown)
    return RunResult(
        title=f"{judged.title}{', but it has learnt little' if flaw else ''} · {view.name}",
        figure=formatting.loss(best.loss, bits) if best is not None and math.isfinite(best.loss) else "",
        words=as_sentence(visible(judged.message)) if broken or held else words,
        measures=measures,
        facts=tuple(line for line in lines if line),
        prime=sample.prime if sample else "",
        before=before.text[:400] if before else "",
        sample=sample.text[:400] if sample else "",
        keys="   ".join((*keys_for(shown), f"{key_of('app.back')} samples")),
        state="broken" if broken else "held" if held else "poor" if flaw else "good",
    )


def _flaw_words(flaw: Flaw, shown: ShownRun) -> str:
    """What is wrong with the model of a run that finished, why, and what to do, with the keys for it."""
    words = [flaw.words]
    if shown.verdict.busy:
        words.append(shown.verdict.busy.rstrip("."))
    if flaw.lower_rate:
        rate = "" if shown.spec is None else formatting.learning_rate(shown.spec.settings.lr)
        words.append(f"{rate_was_too_high(rate)}: {key_of('train.new')} opens the settings with a lower one")
    elif flaw.more_minutes and not shown.stateless:
        words.append(f"{key_of('train.more')} trains it for more minutes")
    if flaw.reads_well:
        return f"{'. '.join(words)}."
    ready = f"{key_of('app.mode_generate')}, then {key_of('generate.open_model')}, opens a model that reads well"
    return f"{'. '.join(words)}; {ready}."


def _samples(series: RunSeries, judged: Verdict) -> tuple[Sampled | None, Sampled | None]:
    """What the network wrote before its first step, and what the model that is played wrote: the sample at its step, or
    the last before it. Both continue the same prime. Of two equal samples only the second is shown.

    While the best model is the untrained network, the last snapshot is played.
    """
    if series.best_step == 0 and judged.from_model is not None:
        return None, None
    best_step = series.best_step or math.inf
    found = next((sample for sample in reversed(series.samples) if sample.step <= best_step), None)
    first = next((sample for sample in series.samples if sample.step == 0), None)
    return (None if found == first else first), found


def train_curve_words(series: RunSeries, spec: RunSpec | None, smoothed: bool) -> str:
    """Why the training loss may lie above the validation loss beside it; empty where nothing is compared."""
    if series.train_loss is None or series.val_loss is None or spec is None:
        return ""
    dropout = spec.settings.dropout or spec.settings.weight_drop
    how = " and ".join(word for word, is_so in (("with dropout", dropout), ("smoothed", smoothed)) if is_so)
    return how and f"train, {how}, may lie above valid"


def _is_risky(spec: RunSpec | None) -> bool:
    """Whether the learning rate of a run is so many times that of its preset that it is likely to be too high."""
    return spec is not None and spec.preset in presets() and spec.settings.lr >= RISKY_RATE * preset(spec.preset).lr


def _times(series: RunSeries, spec: RunSpec | None) -> str:
    """The time of the run, beside what was planned for it when a time limit was to end it."""
    if not series.work_seconds:
        return ""
    words = f"took {clock(series.work_seconds)}"
    minutes = spec.settings.max_minutes if spec is not None else None
    planned_by_time = series.started is not None and series.started.limit == "max_minutes"
    return f"{words}, {clock(60 * minutes)} planned" if minutes and planned_by_time and not series.inexact else words


def remarks(series: RunSeries) -> list[str]:
    """What a person should read of the run, a sentence each: the last warning, the last resume that was not exact."""
    found = [as_sentence(series.warnings[-1].message)] if series.warnings else []
    if series.inexact:
        event = series.inexact[-1]
        changes = event.changes
        if event.changed and LENGTH.issuperset(event.changed) and event.planned_steps is not None:
            changes = f"the run was lengthened to {event.planned_steps:,} steps"
        notes = "; ".join(note for note in (changes, event.inexact) if note)
        found.append(as_sentence(f"continues from step {event.step:,}: {notes}"))
    return found
