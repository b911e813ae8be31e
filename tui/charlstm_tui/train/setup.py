"""Train's state before a run, as a value: the text, the choices, and the costs.

No widgets here: ``setup_pane`` draws it, and measures what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from charlstm.runs.contention import BACKGROUND_NICENESS, NOTABLE_SLOWDOWN
from charlstm.runs.launch import NewRun
from charlstm.runs.start_models import NOTHING, StartModel, expected_losses, preset_from, starts_from_model
from charlstm.setting_fields import option_words
from charlstm.text.reading import USUAL
from charlstm.training.presets import DEFAULT, lifted_limits
from charlstm.training.settings import OWN_NETWORK, Settings, write_setting
from charlstm_tui.choices import CorpusChoice, Stamps
from charlstm_tui.run_watcher import RunView
from charlstm_tui.train.baselines import BaselineLosses

USUAL_CHARS, USUAL_SYMBOLS = 1_000_000, 100
"""The text that a preset is shown for while the chosen one has not been read."""
LONGEST = 5
"""A time limit is raised to so many times its value at most: the other programs may end before."""
SIZE = frozenset(("hidden_size", "num_layers"))
"""The settings that a model decides whose weights a run starts from."""
Costs = Mapping[str, Mapping[str, Any]]
"""The costs of runs on this machine, by preset, from ``charlstm presets``."""
CostsKey = tuple[str | None, tuple[tuple[str, Any], ...]]
"""Of which runs: what ``--from`` says, and the settings that differ from the presets."""


@dataclass(frozen=True, slots=True)
class TextFacts:
    """Facts about a text that has been read. ``record`` is from ``Corpus.to_record``."""

    chars: int
    symbols: int
    record: dict[str, Any]
    box: StartModel | None = None
    """The model in the box, if it helps on this text."""
    stamps: Stamps | None = None
    """Of the text's files, to notice a change."""


@dataclass(frozen=True, slots=True)
class RunChoices:
    """What was chosen for the next run on a text: at first the default preset as it is, which starts from the model in
    the box where that helps."""

    preset: str = DEFAULT
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings that were changed by hand."""
    start_from: StartModel | None = None
    """A model to start from that was chosen by hand."""
    from_nothing: bool = False
    """Whether to start from random weights although the model in the box would help."""
    highest_rate: float | None = None
    """The learning rate that a preset has at most, after a run whose rate was too high; ``None`` for any."""

    @property
    def start_word(self) -> str | None:
        """The value of ``--from`` for these choices; ``None`` leaves ``--from`` out, which takes the model in the box
        if that helps."""
        if self.start_from is not None:
            return str(self.start_from.path)
        return NOTHING if self.from_nothing or OWN_NETWORK.intersection(self.changes) else None

    def differences(self, usual: Settings) -> dict[str, Any]:
        """The settings that differ from ``usual``, those of the preset. A model that was chosen decides the network."""
        decided = SIZE if self.start_from is not None else frozenset()
        limited = {} if self.highest_rate is None else {"lr": min(self.highest_rate, usual.lr)}
        changes = {**limited, **self.changes}
        return {name: value for name, value in changes.items() if value != getattr(usual, name) and name not in decided}

    def edited(self, before: Settings, after: Settings, usual: Settings) -> tuple[RunChoices, bool]:
        """The choices once the settings ``before`` were edited to ``after``, and whether a limit that the preset has is
        lifted since another was set."""
        given = {name: value for name, value in after.to_dict().items() if value != getattr(before, name)}
        lifted = {name: None for name in lifted_limits(usual, given) if getattr(before, name) == getattr(usual, name)}
        changed = replace(self, changes=after.with_changes(**lifted).to_dict(), highest_rate=None)
        return replace(changed, changes=changed.differences(usual)), bool(lifted)


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

    def start_of(self, name: str | None = None) -> StartModel | None:
        """The model that a run of the preset ``name`` (default: the chosen one) starts from; ``None`` for random
        weights."""
        choices = self.choices
        if choices.start_from is not None or choices.from_nothing or self.facts is None:
            return choices.start_from
        return self.facts.box if starts_from_model(None, name or choices.preset, choices.changes) else None

    def knows_start(self, name: str | None = None) -> bool:
        """Whether it is known what :meth:`start_of` will be: until the text has been read, the model in the box may
        help."""
        choices = self.choices
        chosen = self.facts is not None or choices.start_from is not None or choices.from_nothing
        return chosen or not starts_from_model(None, name or choices.preset, choices.changes)

    def preset_settings(self, name: str | None = None) -> Settings:
        """The settings of a preset (default: the chosen one) for this text, without any change."""
        facts, split = self.facts, "tail" if self.corpus is None else self.corpus.split
        chars, symbols = (USUAL_CHARS, USUAL_SYMBOLS) if facts is None else (facts.chars, facts.symbols)
        return preset_from(self.start_of(name), name or self.choices.preset, chars, symbols).with_changes(split=split)

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
        """The number of choices that differ from the preset; other weights count once."""
        return len(self.differences) + (self.choices.start_from is not None or self.choices.from_nothing)

    @property
    def start(self) -> StartModel | None:
        """The model whose weights the next run begins with; ``None`` for random ones."""
        return self.start_of()

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
    def costs_keys(self) -> set[CostsKey]:
        """The keys in :attr:`measured` of what is shown: the presets as they are, and with what differs."""
        return {self.costs_key({}), self.costs_key(self.differences)}

    @property
    def costs(self) -> Costs:
        """The costs of the unchanged presets; empty until measured."""
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
        return self.references is not None and self.costs_keys <= self.measured.keys()

    # ---- other choices
    def choose(self, choices: RunChoices) -> Setup:
        """The same with other choices, without the losses to beat if these are on other text."""
        chosen = replace(self, choices=choices)
        return chosen if chosen.split == self.split else replace(chosen, references=None)

    def lengthen(self) -> RunChoices:
        """The choices with a time limit that makes up for a busy processor."""
        minutes = self.settings.max_minutes
        if minutes is None or self.slowdown is None:
            return self.choices
        longer = longer_minutes(minutes, self.slowdown)
        return replace(self.choices, changes={**self.choices.changes, "max_minutes": longer})

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
        """Arguments of ``charlstm presets`` to measure the cost of each preset with these changes."""
        assert self.corpus is not None
        corpus, start = self.corpus, self.choices.start_word
        given = {"niceness": BACKGROUND_NICENESS, **changes}  # what a run has that the app starts
        return [
            corpus.source,
            *option_words(corpus.options(), USUAL),
            *(word for source in corpus.validation for word in ("--val-file", source)),
            *(word for name, value in given.items() for word in ("--set", f"{name}={write_setting(name, value)}")),
            *(["--from", start] if start is not None else []),
        ]

    def expected_losses(self) -> tuple[float, float] | None:
        """About what the losses will be in the end, from the model in the box and from nothing."""
        facts, choices = self.facts, self.choices
        seconds, speed = number(self.own_costs, "seconds"), number(self.own_costs, "chars_per_second")
        if facts is None or facts.box is None or choices.changes or not seconds or not speed:
            return None
        return expected_losses(facts.box, choices.preset, facts.chars, seconds * speed, choices.from_nothing)


def number(costs: Mapping[str, Any], name: str) -> Any:
    """A measured figure; ``None`` when it is missing or not a number."""
    value = costs.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def longer_minutes(minutes: float, slowdown: float) -> float:
    """The time limit that allows for ``slowdown``, in whole multiples of ``minutes``, at most five of them."""
    return minutes * min(LONGEST, math.ceil(slowdown - 0.25))
