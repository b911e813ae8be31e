"""What Train says of a :class:`Setup`: what the presets cost, the plan, what there is to beat, and warnings.

No widgets here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from charlstm.display import count, percent, plural, size, visible
from charlstm.errors import TorchError
from charlstm.model.file import ModelConfig
from charlstm.runs.contention import slowdown_words
from charlstm.runs.start_models import StartModel, no_gain
from charlstm.system import torch_folder
from charlstm.text import read_before
from charlstm.text.corpus import split_text
from charlstm.training.ending import risk_words
from charlstm.training.estimate import batch_shape, disk_bytes, memory_bytes
from charlstm.training.events import ESTIMATE
from charlstm.training.presets import presets
from charlstm.training.settings import OWN_NETWORK, Settings, write_setting
from charlstm_tui.actions import key_of
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.formatting import (
    BASELINE_NAMES,
    baseline_name,
    clock,
    learning_rate,
    loss,
    rough_clock,
    shorten,
    unit,
)
from charlstm_tui.run_watcher import RunView
from charlstm_tui.train.setup import RunChoices, Setup, TextFacts, longer_minutes, number

LONGEST_ORIGIN = 22
"""Characters of a model's name that fit into the plan in a terminal of 80 columns."""

UNKNOWN = "…"
"""What stands in the place of what is not known yet."""


@dataclass(frozen=True, slots=True)
class PlanLine:
    """A line of the plan, which shows ``settings``."""

    label: str
    text: str
    settings: tuple[str, ...]


def plan_lines(setup: Setup) -> list[tuple[PlanLine, bool]]:
    """The plan, each line with whether it differs from the preset."""
    settings, choices, facts, corpus = setup.settings, setup.choices, setup.facts, setup.corpus
    known = setup.knows_start()
    weights = "random" if setup.start is None else f"of {shorten(setup.start.words, LONGEST_ORIGIN)}"
    layers = f"{plural(settings.num_layers, 'layer')} of {settings.hidden_size}"
    rows, length = (settings.batch_size, settings.seq_length) if facts is None else batch_shape(settings, facts.chars)
    falls = "" if settings.schedule == "constant" else " to 0"
    rate = f"{settings.optimizer} {learning_rate(settings.lr)}, {settings.schedule}{falls}"
    lines = [
        PlanLine("weights", weights if known else UNKNOWN, ("start_from", "from_nothing")),
        PlanLine("network", layers if known else UNKNOWN, ("num_layers", "hidden_size", "init")),
        PlanLine(
            "batches",
            f"{plural(rows, 'row')} × {plural(length, 'character')}",
            ("batch_size", "seq_length", "state_reset"),
        ),
        PlanLine("rate", rate if known else UNKNOWN, ("optimizer", "lr", "schedule")),
        PlanLine("ends", ends_words(settings), ("max_minutes", "epochs", "max_steps")),
    ]
    if how := text_words(corpus, choices.preset):
        lines.insert(0, PlanLine("text", how, ()))
    if reads := _reads(setup):
        lines.append(PlanLine("reads", reads, ()))
    held_out = held_out_words(settings, corpus, facts)
    lines.append(PlanLine("held out", held_out, ("val_fraction", "split")))
    if settings.dropout or settings.weight_drop:
        dropout = f"{settings.dropout:g}, recurrent {settings.weight_drop:g}"
        lines.append(PlanLine("dropout", dropout if known else UNKNOWN, ("dropout", "weight_drop")))
    if settings.test_fraction:
        test = f"{settings.test_fraction * 100:g} % of the text, read by no part of training"
        lines.append(PlanLine("test", test, ("test_fraction",)))
    every = ("checkpoint_minutes", "checkpoint_steps")
    lines.append(PlanLine("checkpoints", checkpoint_words(settings), every))
    if facts is not None:
        symbols = facts.symbols if setup.start is None else setup.start.symbols
        parameters = ModelConfig(symbols, settings.hidden_size, settings.num_layers).parameters
        disk = size(disk_bytes(settings, parameters, facts.chars))
        lines.append(PlanLine("disk", f"about {disk}, once finished", ("snapshots",)))
    changed = dict(setup.differences)
    shown = {name for line in lines for name in line.settings}
    lines += [
        PlanLine(name, write_setting(name, value), (name,))
        for name, value in changed.items()
        if name not in shown or name in ("init", "state_reset")
    ]
    if choices.start_from is not None:
        changed["start_from"] = choices.start_from
    if choices.from_nothing:
        changed["from_nothing"] = True
    return [(line, any(name in changed for name in line.settings)) for line in lines]


def text_words(corpus: CorpusChoice | None, preset_name: str = "") -> str:
    """How the text is read, in the words of the keys of Corpus."""
    if corpus is None:
        return ""
    options = corpus.options(preset_name)
    if not options.strip_boilerplate and options.lines == "keep" and options.units is None:
        how = ["as it is"]
    else:
        licence = "no licence" if options.strip_boilerplate else "licence kept"
        lines = f"lines {'kept' if options.lines == 'keep' else options.lines}"
        how = [f"units: {visible(options.units, keep='')}" if options.units else lines, licence]
    return ", ".join([*how, *([] if corpus.encoding is None else [f"as {corpus.encoding}"])])


def origin_words(choices: RunChoices) -> str:
    """Where the first weights come from, if that was chosen by hand; else empty."""
    if choices.start_from is None:
        return "from nothing" if choices.from_nothing else ""
    return f"from {shorten(visible(choices.start_from.name, keep=''), LONGEST_ORIGIN)}"


def start_words(setup: Setup, bits: bool) -> str:
    """Two ways to begin, where there are two: from the model in the box and from nothing; else empty."""
    facts, choices, expected = setup.facts, setup.choices, setup.expected_losses()
    if facts is None or facts.box is None or choices.start_from is not None:
        return ""
    key, box = key_of("train.from_nothing"), facts.box.words
    ends, ends_from_nothing = "", ""
    if expected is not None:
        ends, ends_from_nothing = (f"about {loss(each, bits, decimals=2)}" for each in expected)
    if choices.from_nothing:
        words = f"Starts from nothing, to watch it learn{ends and f': {ends_from_nothing} {unit(bits)} in the end'}. "
        return words + f"{key} starts from {box}{ends and f': {ends}'}."
    if setup.start is None:
        return ""
    words = f"Starts from {box}: {ESTIMATE}{loss(facts.box.loss, bits)} {unit(bits)} on passages of this text"
    words += f"{ends and f', {ends} in the end'}. "
    gains = "" if choices.changes else no_gain(facts.box, choices.preset, facts.chars)
    words += "".join(f"{sentence}. " for sentence in (facts.box.reading, gains) if sentence)
    words += f"{key} starts from nothing, to watch it learn"
    return words + f"{ends and f': {ends_from_nothing}'}."


def read_before_words(start: StartModel | None) -> str:
    """A warning when the model that a run starts from has read the held-out part; else empty."""
    if start is None or not start.has_read_it:
        return ""
    return f"Losses will be too low: {start.words} has read {percent(start.read or 0)} of the held-out part."


def ends_words(settings: Settings) -> str:
    """When a run with these settings ends, in the columns that a terminal of 80 has for it."""
    ends, alone = [], settings.max_minutes is None and settings.max_steps is None
    if settings.max_minutes is not None:
        ends.append(clock(settings.max_minutes * 60))
    if settings.epochs is not None:
        ends.append(f"{settings.epochs:g} pass{'es' * (settings.epochs != 1)}{' over the text' * alone}")
    if settings.max_steps is not None:
        ends.append(plural(settings.max_steps, "step"))
    return "after " + " or ".join(ends) if ends else "never: set epochs, max_steps or max_minutes"


def checkpoint_words(settings: Settings) -> str:
    """How often a run with these settings saves its exact state."""
    every = []
    minutes, limit = settings.checkpoint_minutes, settings.max_minutes
    if minutes is not None and (limit is None or minutes < limit):
        every.append(f"{minutes:g} minutes")
    if settings.checkpoint_steps is not None:
        every.append(f"{settings.checkpoint_steps:,} steps")
    return "every " + " and every ".join(every) if every else "at the end"


def _reads(setup: Setup) -> str:
    """How often the run will read the text; empty while that is not known, and where the line of its end says it."""
    settings, corpus, facts = setup.settings, setup.corpus, setup.facts
    passes = number(setup.own_costs, "epochs")
    if facts is None or not passes or (settings.epochs is not None and round(passes, 1) >= settings.epochs):
        return ""
    val_fraction = 0.0 if corpus is not None and corpus.validation else settings.val_fraction
    parts = split_text(facts.chars, val_fraction, settings.split, settings.test_fraction)
    return f"{passes:.1f} × the text, {count(passes * parts.train_chars)}"


def validation_name(corpus: CorpusChoice) -> str:
    """The name of the separate text to validate on; empty without one."""
    return visible(", ".join(PurePath(source).name for source in corpus.validation), keep="")


def without_effect_words(corpus: CorpusChoice | None, choices: RunChoices) -> dict[str, str]:
    """Why settings have no effect on the next run, by their names."""
    found = {}
    if corpus is not None and corpus.validation:
        found["val_fraction"] = f"validation is on {validation_name(corpus)}, not on a part of the text"
    if choices.start_from is not None:
        found |= dict.fromkeys(OWN_NETWORK, f"the network is that of {visible(choices.start_from.name, keep='')}")
    return found


def held_out_words(settings: Settings, corpus: CorpusChoice | None, facts: TextFacts | None) -> str:
    """What the run is validated on."""
    if corpus is not None and corpus.validation:
        return f"nothing: validation is on {validation_name(corpus)}"
    if not settings.val_fraction:
        return "nothing: there will be no validation"
    where = "at the end" if settings.split == "tail" else "in blocks spread over the text"
    if corpus is not None and corpus.units:
        where = "in whole units"
    if facts is None:
        return f"{settings.val_fraction * 100:g} % of the text {where}"
    parts = split_text(facts.chars, settings.val_fraction, settings.split, settings.test_fraction)
    return f"{count(parts.held_out_chars)} characters {where}"


def planned_seconds(settings: Settings) -> float | None:
    """Seconds of training when nothing but the clock ends the run, else ``None``."""
    by_steps = (settings.epochs, settings.max_steps) != (None, None)
    return settings.max_minutes * 60 if settings.max_minutes is not None and not by_steps else None


# ---- the presets


def preset_rows(setup: Setup) -> list[dict[str, str]]:
    """What each preset costs, in words, by the columns of the table: an ellipsis while it is being measured, else a
    dash for what is not known, and a tilde where other programs were in the way."""
    return [_preset_row(setup, name, name == setup.choices.preset) for name in presets()]


def _preset_row(setup: Setup, name: str, chosen: bool) -> dict[str, str]:
    facts, changed = setup.facts, chosen and setup.changes > 0
    settings = setup.settings if chosen else setup.preset_settings(name)
    costs = setup.own_costs if chosen else setup.costs.get(name, {})
    unknown = "–" if setup.is_measured or setup.problem else UNKNOWN
    time = weights = memory = unknown
    rough = "~" if costs.get("crowded") or (number(costs, "slowdown") or 1.0) > 1.0 else ""
    if (seconds := number(costs, "seconds") or planned_seconds(settings)) is not None:
        time = rough + rough_clock(seconds)
    elif settings.max_minutes is not None:
        time = f"≤ {rough_clock(60 * settings.max_minutes)}"
    if facts is not None:
        start = setup.start_of(name)
        symbols = facts.symbols if start is None else start.symbols
        weights = count(ModelConfig(symbols, settings.hidden_size, settings.num_layers).parameters)
        memory = size(number(costs, "memory_bytes") or memory_bytes(settings, facts.chars, symbols))
    network = f"{settings.num_layers}×{settings.hidden_size}"
    speed = number(costs, "chars_per_second")
    return {
        "PRESET": name + " *" * changed,
        "TIME": time,
        "NETWORK": network if setup.knows_start(name) else UNKNOWN,
        "WEIGHTS": weights,
        "MEMORY": memory,
        "CHARS/S": unknown if speed is None else f"{rough}{speed:,.0f}",
        "WHAT FOR": f"changed from {name}" if changed else presets()[name].about,
    }


# ---- what there is to beat

MARKS = {read_before.MARK: "read", ESTIMATE: "estimate"}
"""The marks of losses, each in a word."""


@dataclass(frozen=True, slots=True)
class LossToBeat:
    """A loss in nats per character: of a simple model, of the model that the run starts from, or of an earlier run on
    this text (``is_run``)."""

    label: str
    nats: float
    is_run: bool = False
    mark: str = ""
    started_from: str = ""
    """The model that a run started from; empty for random weights."""

    def name(self, longest: int, *, short: bool) -> str:
        """What it is called on the screen, in ``longest`` characters at most. The end of a run's name, in which it
        differs from others, stays."""
        if not self.is_run:
            return shorten(baseline_name(self.label, short=short), longest)
        start = f" ({visible(self.started_from, keep='')})" if self.started_from else ""
        return shorten(shorten(visible(self.label, keep=""), max(longest - len(start), SHORTEST_NAME)) + start, longest)


MOST_RUNS = 3
SHORTEST_NAME = 8
LONGEST_NAME = max(len(name) for name, _ in BASELINE_NAMES.values())


def losses_to_beat(
    baselines: Sequence[tuple[str, float]], runs: Sequence[RunView], start: StartModel | None = None
) -> list[LossToBeat]:
    """The losses of the simple models, of the best of ``runs``, which are of the same text, and of the model that the
    run starts from, the worst first. What is beaten before the first step is left out: what is no better than that
    model or, without one, runs that are no better than the letter frequencies."""
    useless = dict(baselines).get("order 0", math.inf)
    earlier = [view for view in runs if (view.status.loss or math.inf) < useless]
    earlier.sort(key=lambda view: view.status.loss or 0)
    found = [LossToBeat(label, nats) for label, nats in baselines]
    if start is not None:
        found.append(LossToBeat("before training", start.loss, mark=ESTIMATE))
    found += [
        LossToBeat(
            view.name,
            view.status.loss or 0,
            is_run=True,
            mark=view.status.mark,
            started_from=view.started_from,
        )
        for view in earlier[:MOST_RUNS]
    ]
    most = math.inf if start is None else start.loss
    found = [each for each in found if each.nats <= most and math.isfinite(each.nats)]
    return sorted(found, key=lambda each: -each.nats)


def beats_all(loss: LossToBeat, losses: Sequence[LossToBeat]) -> bool:
    """Whether a run is better than every simple model."""
    return loss.is_run and all(loss.nats < each.nats for each in losses if not each.is_run)


def unit_words(unit: str, losses: Sequence[LossToBeat]) -> str:
    """What the figures beside the bars are, in the 35 columns that a terminal of 80 has for it."""
    signs = [f"{mark} {word}" for mark, word in MARKS.items() if any(mark == each.mark for each in losses)]
    signs += ["(started from)"] if any(each.started_from for each in losses) else []
    words = (f"{unit} per character, less is better", f"{unit} per character", unit)[min(len(signs), 2)]
    return "; ".join([words, *signs[:2]])


# ---- a busy processor


def busy_words(slowdown: float | None, live: Sequence[RunView], settings: Settings, keys: Mapping[str, str]) -> str:
    """The programs with which a run that starts now would share the processor, and a remedy; empty for a free
    processor.

    ``keys`` are the keys of ``queue``, ``more_time`` and ``generate``, as far as they help.
    """
    if live:
        name = visible(live[0].name, keep="")
        later = f" {keys['queue']} lets it begin when the runs before it have ended." if "queue" in keys else ""
        return f"{name} is training: a new run would share the processor with it, and both become slower.{later}"
    words = slowdown_words(slowdown, "will be")
    if not words:
        return ""
    advice = []
    if "more_time" in keys and settings.max_minutes is not None and slowdown is not None:
        advice.append(f"{keys['more_time']} gives it {clock(60 * longer_minutes(settings.max_minutes, slowdown))}")
    if "generate" in keys:
        advice.append(f"{keys['generate']} plays the model in the box meanwhile")
    return f"{words} {'; '.join(advice)}." if advice else words


def warnings(setup: Setup, keys: Mapping[str, str]) -> list[str]:
    """What may go wrong, or slow the run down, a sentence each. ``keys``: see :func:`busy_words`."""
    torch = "" if torch_folder() else str(TorchError())
    busy = busy_words(setup.slowdown, setup.live, setup.settings, keys)
    return [*filter(None, (torch, busy, risk_words(setup.settings.lr, setup.usual.lr), read_before_words(setup.start)))]
