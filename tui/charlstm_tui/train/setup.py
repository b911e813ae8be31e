"""What Train offers before a run, as a value: the text, what was chosen for it, and what it will cost.

No widgets here: ``setup_pane`` draws it, and measures what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from charlstm.model.file import ModelConfig
from charlstm.runs.contention import BACKGROUND_NICENESS, NOTABLE_SLOWDOWN
from charlstm.runs.launch import NewRun
from charlstm.runs.start_models import StartModel, expected_losses
from charlstm.text.reading import USUAL
from charlstm.training.ending import risk_words
from charlstm.training.estimate import memory_bytes
from charlstm.training.presets import presets
from charlstm.training.settings import Settings, write_setting
from charlstm_tui.choices import CorpusChoice
from charlstm_tui.formatting import count, rough_clock, size
from charlstm_tui.run_watcher import RunView
from charlstm_tui.train.baselines import BaselineLosses
from charlstm_tui.train.run_plan import (
    UNKNOWN,
    RunChoices,
    TextFacts,
    busy_words,
    longer_minutes,
    number,
    planned_seconds,
    read_before_words,
)

Costs = Mapping[str, Mapping[str, Any]]
"""What runs cost on this machine, by preset, as ``charlstm presets`` measures it."""
CostsKey = tuple[str | None, tuple[tuple[str, Any], ...]]
"""Of which runs: what ``--from`` says, and the settings that differ from the presets."""


@dataclass(frozen=True)
class Setup:
    """A text, the choices for the next run on it, and what is known of both."""

    corpus: CorpusChoice | None = None
    facts: TextFacts | None = None
    """``None`` until the text has been read."""
    reading: str = "reading …"
    """What is done with the text until then."""
    problem: str = ""
    """Why the text cannot be read."""
    choices: RunChoices = field(default_factory=RunChoices)
    references: BaselineLosses | None = None
    """``None`` until they are counted; empty for a text that is too short, or gone."""
    measured: Mapping[CostsKey, Costs] = field(default_factory=dict)
    """What was measured, by :meth:`costs_key`; empty costs where that was not possible."""
    live: tuple[RunView, ...] = ()
    """The runs that a new one would share the processor with."""

    # ---- what follows
    @property
    def startable(self) -> bool:
        """Whether a run can be started, if need be as soon as the text has been read."""
        return self.corpus is not None and not self.problem

    @property
    def ready(self) -> bool:
        """Whether the text is known, and so what the presets mean for it."""
        return self.startable and self.facts is not None

    def preset_settings(self, name: str | None = None) -> Settings:
        """The settings of a preset (default: the chosen one) for this text."""
        return self.choices.preset_settings(self.facts, self.corpus.split if self.corpus else "tail", name)

    @cached_property
    def usual(self) -> Settings:
        """The settings of the chosen preset for this text, without any change."""
        return self.preset_settings()

    @cached_property
    def differences(self) -> dict[str, Any]:
        """The settings that differ from the preset."""
        return self.choices.differences(self.usual)

    @cached_property
    def settings(self) -> Settings:
        """The settings of the next run."""
        return self.usual.with_changes(**self.differences)

    @property
    def split(self) -> tuple[float, str, float]:
        """What of the text the simple models are tried on."""
        return self.settings.val_fraction, self.settings.split, self.settings.test_fraction

    @property
    def changes(self) -> int:
        """The number of choices that differ from the preset."""
        return self.choices.count(self.usual)

    @property
    def start(self) -> StartModel | None:
        """The model whose weights the next run begins with; ``None`` for random ones."""
        return self.choices.start(self.facts)

    @property
    def box_helps(self) -> bool:
        """Whether the model in the box helps on this text."""
        return self.facts is not None and self.facts.box is not None

    @property
    def can_choose_start(self) -> bool:
        """Whether the preset starts from the model in the box unless one chooses otherwise."""
        return self.ready and (self.choices.from_nothing or self.start is not None)

    def costs_key(self, changes: Mapping[str, Any]) -> CostsKey:
        """The key in :attr:`measured` of the presets with these settings changed."""
        return self.choices.start_word, tuple(sorted(changes.items()))

    @property
    def costs(self) -> Costs:
        """What the presets cost as they are; empty until it is measured."""
        return self.measured.get(self.costs_key({}), {})

    @property
    def own_costs(self) -> Mapping[str, Any]:
        """What the chosen settings cost; empty until it is measured."""
        return self.measured.get(self.costs_key(self.differences), {}).get(self.choices.preset, {})

    @property
    def slowdown(self) -> float | None:
        """How many times as long training takes because of other programs; ``None`` until it is measured."""
        return number(self.own_costs or self.costs.get(self.choices.preset, {}), "slowdown")

    @property
    def can_train_longer(self) -> bool:
        """Whether a longer time limit would make up for a busy processor."""
        busy = not self.live and (self.slowdown or 1.0) >= NOTABLE_SLOWDOWN
        minutes = self.settings.max_minutes
        return self.ready and busy and minutes is not None and minutes == self.usual.max_minutes

    @property
    def is_measured(self) -> bool:
        """Whether all is known that can be measured."""
        keys = {self.costs_key({}), self.costs_key(self.differences)}
        return self.references is not None and keys <= self.measured.keys()

    # ---- other choices
    def choose(self, choices: RunChoices) -> Setup:
        """The same with other choices, without the losses to beat if these are on other text."""
        chosen = replace(self, choices=choices)
        return chosen if chosen.split == self.split else replace(chosen, references=None)

    def change(self, **changes: Any) -> RunChoices:
        """The choices with these settings changed."""
        return replace(self.choices, changes={**self.choices.changes, **changes})

    def lengthen(self) -> RunChoices:
        """The choices with a time limit that makes up for a busy processor."""
        minutes = self.settings.max_minutes
        if minutes is None or self.slowdown is None:
            return self.choices
        return self.change(max_minutes=longer_minutes(minutes, self.slowdown))

    def new_run(self, runs_dir: Path | None) -> NewRun:
        """The run that begins."""
        assert self.corpus is not None
        return NewRun(
            self.corpus.source,
            self.settings,
            self.choices.preset,
            text_options=self.corpus.options(self.choices.preset),
            validation=self.corpus.validation or None,
            runs_dir=runs_dir,
            model_from=None if self.start is None else self.start.path,
        )

    # ---- for the screen
    def presets_command(self, changes: Mapping[str, Any]) -> list[str]:
        """What follows ``charlstm presets``, which measures what each preset costs with these changes."""
        assert self.corpus is not None
        corpus, start = self.corpus, self.choices.start_word
        given = {"niceness": BACKGROUND_NICENESS, **changes}  # what a run has that the app starts
        return [
            corpus.source,
            *(["--no-strip-boilerplate"] if not corpus.strip_boilerplate else []),
            *(["--lines", corpus.lines] if corpus.lines != USUAL.lines else []),
            *(["--split-units", corpus.units] if corpus.units is not None else []),
            *(["--clean"] if corpus.clean else []),
            *(["--encoding", corpus.encoding] if corpus.encoding is not None else []),
            *(word for source in corpus.validation for word in ("--val-file", source)),
            *(word for name, value in given.items() for word in ("--set", f"{name}={write_setting(name, value)}")),
            *(["--from", start] if start is not None else []),
        ]

    def preset_rows(self) -> list[dict[str, str]]:
        """What each preset costs, in words, by the columns of the table: an ellipsis while it is being measured, else a
        dash for what is not known, and a tilde where other programs were in the way."""
        return [self._preset_row(name, name == self.choices.preset) for name in presets()]

    def _preset_row(self, name: str, chosen: bool) -> dict[str, str]:
        facts, changed = self.facts, chosen and self.changes > 0
        settings = self.settings if chosen else self.preset_settings(name)
        costs = self.own_costs if chosen else self.costs.get(name, {})
        time = weights = memory = unknown = "–" if self.is_measured or self.problem else UNKNOWN
        rough = "~" if costs.get("crowded") or (number(costs, "slowdown") or 1.0) > 1.0 else ""
        if (seconds := number(costs, "seconds") or planned_seconds(settings)) is not None:
            time = rough + rough_clock(seconds)
        elif settings.max_minutes is not None:
            time = f"≤ {rough_clock(60 * settings.max_minutes)}"
        if facts is not None:
            symbols = self.choices.symbols(facts, name)
            weights = count(ModelConfig(symbols, settings.hidden_size, settings.num_layers).parameters)
            memory = size(number(costs, "memory_bytes") or memory_bytes(settings, facts.chars, symbols))
        network = f"{settings.num_layers}×{settings.hidden_size}"
        speed = number(costs, "chars_per_second")
        return {
            "PRESET": name + " *" * changed,
            "TIME": time,
            "NETWORK": network if self.choices.knows_start(facts, name) else UNKNOWN,
            "WEIGHTS": weights,
            "MEMORY": memory,
            "CHARS/S": unknown if speed is None else f"{rough}{speed:,.0f}",
            "WHAT FOR": f"changed from {name}" if changed else presets()[name].about,
        }

    def expected_losses(self) -> tuple[float, float] | None:
        """About what the losses will be in the end, from the model in the box and from nothing."""
        facts, choices = self.facts, self.choices
        seconds, speed = number(self.own_costs, "seconds"), number(self.own_costs, "chars_per_second")
        if facts is None or facts.box is None or choices.changes or not seconds or not speed:
            return None
        return expected_losses(facts.box, choices.preset, facts.chars, seconds * speed, choices.from_nothing)

    def warnings(self, keys: Mapping[str, str]) -> list[str]:
        """What may go wrong, or slow the run down, a sentence each. ``keys``: see :func:`busy_words`."""
        busy = busy_words(self.slowdown, self.live, self.settings, keys)
        return [*filter(None, (busy, risk_words(self.settings.lr, self.usual.lr), read_before_words(self.start)))]
