"""A sweep: runs that differ in a few settings and wait in the queue, to find the best of them.

Nothing but the tag ``sweep:NAME`` says that a run belongs to a sweep.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, ClassVar

import numpy as np

from charlstm.display import plural
from charlstm.errors import RunError, SettingsError
from charlstm.runs import folder, launch, queue
from charlstm.runs.folder import RunFolder
from charlstm.runs.launch import NewRun
from charlstm.runs.names import next_name
from charlstm.runs.notes import notes_if_readable, sweep_tag
from charlstm.setting_fields import setting_fields
from charlstm.system import DeferredInterrupt
from charlstm.text.corpus import Corpus
from charlstm.training.presets import with_given
from charlstm.training.settings import Settings, check_name, parse_setting

MOST_RUNS = 999

Trials = tuple[dict[str, Any], ...]
"""The settings that each run of a sweep varies, by name."""


def parse_grid(words: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The values of each setting in words such as ``lr=1e-3,3e-3``. Raises :class:`SettingsError`."""
    found: dict[str, tuple[Any, ...]] = {}
    for word in words:
        name, values = _named(word, "lr=1e-3,3e-3")
        found[name] = tuple(dict.fromkeys(parse_setting(name, value) for value in values.split(",")))
    return found


def parse_ranges(words: Sequence[str]) -> dict[str, tuple[float, float]]:
    """The range of each setting in words such as ``lr=1e-4..1e-2``. Raises :class:`SettingsError`."""
    found: dict[str, tuple[float, float]] = {}
    for word in words:
        name, values = _named(word, "lr=1e-4..1e-2")
        kind = setting_fields(Settings)[name].kind
        edges = [parse_setting(name, value) for value in values.split("..")]
        if kind not in (int, float) or len(edges) != 2 or None in edges or not edges[0] < edges[1]:
            raise SettingsError(f"--range takes a setting that is a number, and from where to where, not {word!r}")
        found[name] = (edges[0], edges[1])
    return found


def _named(word: str, example: str) -> tuple[str, str]:
    name, equals, values = word.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not values:
        raise SettingsError(f"A setting to vary is written as {example}, not {word!r}")
    check_name(name)
    return name, values


def grid_trials(grid: Mapping[str, Sequence[Any]]) -> Trials:
    """Every combination of the values."""
    return tuple(dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))


def random_trials(
    grid: Mapping[str, Sequence[Any]], ranges: Mapping[str, tuple[float, float]], count: int, seed: int
) -> Trials:
    """``count`` combinations that are drawn: from a list of values, or from a range. In a range of a rate or a size,
    which has no highest value or is a whole number, each factor is as likely as every other (a logarithmic scale); a
    share, such as dropout, is drawn evenly."""
    random = np.random.default_rng(seed)

    def drawn() -> dict[str, Any]:
        values: dict[str, Any] = {name: each[int(random.integers(len(each)))] for name, each in grid.items()}
        for name, (low, high) in ranges.items():
            field = setting_fields(Settings)[name]
            if low > 0 and (field.high is None or field.kind is int):
                value = math.exp(random.uniform(math.log(low), math.log(high)))
            else:
                value = random.uniform(low, high)
            values[name] = round(value) if field.kind is int else float(f"{value:.3g}")
        return values

    return tuple(drawn() for _ in range(count))


def with_seeds(trials: Trials, first: int, count: int) -> Trials:
    """Each of ``trials`` with ``count`` seeds, from ``first`` on."""
    return tuple({**trial, "seed": first + more} for trial in trials for more in range(count))


@dataclass(frozen=True, slots=True)
class Cell:
    """The runs of a sweep that differ in the seed alone.

    Attributes:
        settings: the other settings that the sweep varies.
        runs: the number of runs.
        losses: those of the runs that have finished.
    """

    JSON_FIELDS: ClassVar = ("settings", "losses", "mean")

    settings: dict[str, Any]
    runs: int
    losses: list[float]

    @property
    def mean(self) -> float | None:
        """None before a run has finished."""
        return fmean(self.losses) if self.losses else None


def cells_of(runs: Sequence[tuple[Mapping[str, Any], float | None]]) -> list[Cell]:
    """Group runs, given as what the sweep varies and the loss (``None`` before the run has finished), by all settings
    but the seed."""
    groups: dict[str, tuple[dict[str, Any], list[float | None]]] = {}
    for settings, loss in runs:
        shared = {name: value for name, value in settings.items() if name != "seed"}
        groups.setdefault(repr(shared), (shared, []))[1].append(loss)
    return [
        Cell(shared, len(losses), [loss for loss in losses if loss is not None]) for shared, losses in groups.values()
    ]


def best_of(cells: Sequence[Cell]) -> Cell | None:
    """The cell with the lowest mean loss, of those with most runs that have finished: the lowest loss of many single
    runs is partly luck. ``None`` before a run has finished."""
    return min((cell for cell in cells if cell.losses), key=lambda cell: (-len(cell.losses), cell.mean), default=None)


def queue_sweep(trials: Trials, new: NewRun) -> list[RunFolder]:
    """Put a run like ``new``, whose text is open, with the settings of each of ``trials`` into the queue, as NAME-1,
    NAME-2 and so on. Without a name, the text gives it. If one cannot be created, or after Ctrl-C, none is left. After
    a kill, the added runs are whole.

    Raises :class:`SettingsError` where the settings of a run do not go together, and :class:`RunError` when its name is
    taken; and as :func:`~charlstm.runs.queue.add_new_run` does.
    """
    if not 2 <= len(trials) <= MOST_RUNS:
        raise SettingsError(f"A sweep has 2 to {MOST_RUNS} runs, not {len(trials)}: vary other settings")
    corpus, parent = new.source, folder.runs_dir(new.runs_dir)
    assert isinstance(corpus, Corpus)
    tags = [tag for run in folder.list_runs(parent) for tag in notes_if_readable(run).tags]
    name = new.name or next_name(corpus.name, "sweep", (tag.removeprefix(sweep_tag("")) for tag in tags))
    if there := tags.count(tag := sweep_tag(name)):
        raise RunError(f"The sweep {name} has {plural(there, 'run')} already: delete it or choose another name")
    width, runs = len(str(len(trials))), list[RunFolder]()
    asked = [
        replace(new, settings=with_given(new.settings, trial), name=f"{name}-{number:0{width}}", tags=(tag,))
        for number, trial in enumerate(trials, 1)
    ]
    for each in asked:
        launch.check_fits(each.settings, corpus)
        if os.path.lexists(parent / str(each.name)):
            raise RunError(f"There is {each.name} in {parent} already: choose another name")
    with DeferredInterrupt() as signals:
        try:
            for each in asked:
                runs.append(queue.add_new_run(each))
                if signals.requested is not None:
                    raise KeyboardInterrupt(signals.requested)
        except BaseException:
            for run in runs:
                with contextlib.suppress(RunError):  # it trains already
                    folder.delete_run(run)
            raise
    return runs
