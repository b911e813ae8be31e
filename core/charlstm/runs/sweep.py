"""A sweep: runs that differ in a few settings, one after the other, to find the best of them.

Its folder has ``sweep.json``, which says what was asked for and never changes, and the folders of its runs. How far it
is follows from the runs' own files: nothing else is kept, so that it continues after whatever ended it.

With ``halving`` all runs are trained for an eighth of their steps; the better half of them goes on to a quarter, of
these the better half to one half, and of those the better half to the end (successive halving: Jamieson and Talwalkar
2016, arXiv 1502.07943). A run that goes on is resumed from its checkpoint, so it ends as it would have without the
others.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from charlstm import storage
from charlstm.errors import OtherFormatError, RunError, SettingsError
from charlstm.fields import plain, read
from charlstm.runs import folder, launch
from charlstm.runs.comparison import setting_chart
from charlstm.runs.folder import SWEEP, Run, prune_run
from charlstm.runs.liveness import LOCK_TIMEOUT
from charlstm.runs.names import check_name, next_name
from charlstm.runs.notes import Notes, change_notes, read_notes
from charlstm.runs.series import RunSeries
from charlstm.runs.text import open_text
from charlstm.runs.worker import append_to_worker_log, begin_next, call_on_end, run_foreground
from charlstm.setting_fields import setting_fields
from charlstm.svg import stacked
from charlstm.text.corpus import reopen_corpus
from charlstm.training.events import Controlled, Finished, Validated
from charlstm.training.presets import with_given
from charlstm.training.settings import Settings, parse_setting
from charlstm.training.settings import check_name as check_setting

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from charlstm.text.corpus import Corpus

FORMAT = 1
MOST_TRIALS = 999
HALVING = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""The shares of its steps up to which a run is trained before half of the runs are left out. Twelve settings take a
third of the grid's steps so. Pruners of a library, which judge runs one after the other and cannot let one wait, took
0.42 of them on the same curves in 200 orders (optuna's successive halving), and missed the best setting in 11 %."""
GRID = (1.0,)

Trials = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """What ``sweep.json`` says.

    ``settings`` are those of all runs, with what was ``given``, and each of ``trials`` has those that it varies.
    ``corpus`` is the record of the text, ``model_from`` the model that the runs start from.
    """

    name: str = ""
    preset: str
    given: dict[str, Any]
    settings: Settings
    trials: Trials
    halving: bool
    corpus: dict[str, Any]
    model_from: str | None = None

    @property
    def shares(self) -> tuple[float, ...]:
        return HALVING if self.halving else GRID

    @property
    def varied(self) -> tuple[str, ...]:
        """The settings in which the runs differ."""
        return tuple(self.trials[0])

    def settings_of(self, number: int) -> Settings:
        """The settings of a run, by its number from 0."""
        return with_given(self.settings, self.trials[number])


# ---- which settings
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
    check_setting(name)
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


# ---- how far the runs are
@dataclass(frozen=True, slots=True)
class Trial:
    """What the files of a run say of it.

    ``points``: at which shares of its steps it was validated, and the losses. ``best``: its best loss. ``ended``: it
    came to its end. ``failed``: or it failed, or diverged; then it is worse than all others. It has taken ``step``
    steps, which are this ``share`` of all.
    """

    points: tuple[tuple[float, float], ...] = ()
    best: float = math.inf
    ended: bool = False
    failed: bool = False
    step: int = 0
    share: float = 0.0
    pruned: bool = False
    """It was left out, and cannot go on any more."""

    @classmethod
    def of(cls, series: RunSeries, *, pruned: bool = False) -> Self:
        # as planned at the start: with a limit in minutes the end moves, and what was decided must not change
        planned = 0 if series.started is None else series.started.planned_steps
        points = tuple((each.step / planned, each.loss) for each in series.validations if planned and not each.whole)
        reason = "" if series.finished is None else series.finished.reason
        failed = series.failed is not None or reason == "diverged"
        best = math.inf if series.best_val is None else series.best_val
        ended = reason not in ("", "stopped", "diverged")
        share = 1.0 if ended else min(1.0, series.step / planned) if planned else 0.0
        return cls(points, best, ended, failed, series.step, share, pruned and not ended)

    def has_reached(self, share: float) -> bool:
        """Whether it need not be trained any more to be compared with others at this share of its steps."""
        return self.ended or self.failed or (share < 1 and any(at >= share for at, _ in self.points))

    def state(self, left: bool) -> str:
        """Its state while it does not train, and is still ``left`` in the sweep or not."""
        if self.failed or self.ended:
            return "failed" if self.failed else "finished"
        if not self.points:
            return "waits"
        return f"waits at {self.share:.0%}" if left else "out"

    def loss_at(self, share: float) -> float:
        """Its lowest loss up to the first validation at or after this share of its steps, infinite if it failed."""
        if self.failed or share >= 1:
            return math.inf if self.failed else self.best
        count = next((number for number, (at, _) in enumerate(self.points, 1) if at >= share), len(self.points))
        return min((loss for _, loss in self.points[:count]), default=math.inf)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a sweep is: the numbers of the runs that are still ``left``, best first once they can be compared, and
    the run to train next, up to the share ``until`` of its steps; ``None`` when it is over."""

    left: tuple[int, ...]
    next: int | None = None
    until: float = 1.0


def standing(trials: Sequence[Trial], shares: Sequence[float]) -> Standing:
    """Decide which run is trained next, and which are left out."""
    left = list(range(len(trials)))
    for share in shares:
        for number in left:
            if not (trials[number].pruned or trials[number].has_reached(share)):
                return Standing(tuple(left), number, share)
        left = sorted(left, key=lambda number: (trials[number].pruned, trials[number].loss_at(share)))
        left = left[: math.ceil(len(left) / 2) if share < 1 else 1]
    return Standing(tuple(number for number in left if not trials[number].failed))


def cost(count: int, shares: Sequence[float]) -> float:
    """How many whole runs a sweep of ``count`` runs is worth."""
    total, before = 0.0, 0.0
    for share in shares:
        total, before, count = total + count * (share - before), share, math.ceil(count / 2)
    return total


# ---- the sweep
@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep and its folder."""

    path: Path
    spec: SweepSpec

    @classmethod
    def create(cls, spec: SweepSpec, name: str, corpus: Corpus, runs_dir: Path | None) -> Self:
        """Create the folder ``name``; without one, the text gives it.

        Raises :class:`RunError` when the name is taken or not valid, or the folder cannot be written.
        """
        parent = folder.runs_dir(runs_dir)
        try:
            parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
            name = check_name(name) if name else next_name(corpus.name, "sweep", os.listdir(parent))
            made = cls(parent / name, replace(spec, name=name))
            try:
                storage.make_folder(made.path)
            except FileExistsError:
                sentence = f"There is {name} in {parent} already: choose another name, or --resume it if it is a sweep"
                raise RunError(sentence) from None
            text = json.dumps({"format": FORMAT, **plain(made.spec)}, ensure_ascii=False, indent=1)
            try:
                storage.replace_bytes(made.path / SWEEP, text.encode("utf-8", errors="surrogatepass"))
            except BaseException:
                with contextlib.suppress(OSError):  # the first error matters more
                    storage.disk.unlink(made.path / SWEEP)
                    storage.disk.rmdir(made.path)  # else its name would be taken
                raise
        except OSError as error:
            raise RunError(f"No sweep can be created in {parent}: {error.strerror}") from None
        return made

    @classmethod
    def named(cls, name: str, runs_dir: Path | None) -> Self:
        """Read the sweep ``name``. Raises :class:`RunError`."""
        path = folder.runs_dir(runs_dir) / name
        try:
            values = storage.read_json(path / SWEEP)
            if values["format"] > FORMAT:
                raise OtherFormatError(f"The sweep {name} is from a newer charlstm: update charlstm to read it")
            return cls(path, read(SweepSpec, {**values, "settings": Settings.from_dict(values["settings"])}))
        except OSError as error:
            raise RunError(f"There is no sweep {name} in {path.parent} ({error.strerror})") from None
        except (KeyError, TypeError, ValueError, AttributeError, SettingsError):
            raise RunError(f"The sweep {name} cannot be read: its {SWEEP} is damaged; start another one") from None

    def run(self, number: int) -> Run:
        """A run by its number from 0, which may not exist yet."""
        return Run(self.path / f"{self.spec.name}-{number + 1:0{len(str(len(self.spec.trials)))}}")

    def runs(self) -> list[Run]:
        return [self.run(number) for number in range(len(self.spec.trials))]

    def trials(self) -> list[Trial]:
        """What the logs of the runs say."""
        return [Trial.of(RunSeries.of(run.events()), pruned=run.pruned_path.exists()) for run in self.runs()]

    def train(self, corpus: Corpus | None = None) -> Iterator[tuple[int, list[Trial]]]:
        """Train until the sweep is over, and yield the number of the run that trains and how far all of them are, when
        it is taken up and after each of its events. Runs that are out are pruned. At the end the program of
        ``on_end`` gets the best run. Then the queue goes on, however the sweep ended, but not after SIGTERM.

        Raises :class:`KeyboardInterrupt` after a signal, when the run has written its checkpoint, and
        :class:`RunError` when a run was stopped otherwise or cannot be trained, or the sweep is being trained already.
        """
        best, signal = None, ""
        lock = self._take_lock()
        try:
            best = yield from self._trained(corpus)
        except KeyboardInterrupt as stop:
            signal = str(stop)
            raise
        finally:
            if lock is not None:
                lock.release()
            if best is not None:
                call_on_end(best)
            begin_next(best or self.run(0), signal)

    def _take_lock(self) -> BaseFileLock | None:
        """Take the lock with which nobody else trains the sweep and the queue waits, also between two of its runs."""
        try:
            return storage.take_lock(storage.lock_path(self.path / SWEEP), LOCK_TIMEOUT)
        except BlockingIOError:
            raise RunError(f"Another program trains the sweep {self.spec.name} already: stop it first") from None
        except OSError as error:
            raise RunError(f"The sweep {self.spec.name} cannot be trained: {error.strerror} ({self.path})") from None

    def _trained(self, corpus: Corpus | None) -> Generator[tuple[int, list[Trial]], None, Run | None]:
        """As :meth:`train`; returns the best run, ``None`` if all failed or the sweep was over before."""
        trials, began = self.trials(), False
        while (number := (now := standing(trials, self.spec.shares)).next) is not None:
            self._prune(now, trials)
            run, began = self._prepared(number, corpus), True
            yield number, trials
            series, last, signal, reached = RunSeries.of(run.events()), None, "", False
            with contextlib.closing(run_foreground(run, of_many=True)) as events:
                for event in events:
                    series.feed([event])
                    trials[number], last = Trial.of(series), event
                    if isinstance(event, Controlled) and event.id.startswith("SIG"):
                        signal = event.id
                    yield number, trials
                    reached = now.until < 1 and isinstance(event, Validated) and trials[number].has_reached(now.until)
                    if reached and not signal:
                        break  # closing makes the run write a checkpoint and end
            if signal:
                raise KeyboardInterrupt(signal)
            if not reached and (last is None or (isinstance(last, Finished) and last.reason == "stopped")):
                raise RunError(f"The run {run.name} was stopped, and with it the sweep {self.spec.name}")
        self._prune(now, trials)
        return self.run(now.left[0]) if now.left and began else None

    def _prepared(self, number: int, corpus: Corpus | None) -> Run:
        """The run with this number, created if need be."""
        run, spec, tag = self.run(number), self.spec, f"sweep:{self.spec.name}"
        if not run.is_run():
            folder.remove_unfinished(run)
            before = next((each for each in self.runs() if each.exists()), None)
            corpus = corpus or (reopen_corpus(spec.corpus) if before is None else open_text(before))
            new = launch.NewRun(
                corpus,
                spec.settings_of(number),
                spec.preset,
                name=run.name,
                runs_dir=self.path,
                model_from=spec.model_from,
            )
            launch.create_new_run(new)
        if tag not in read_notes(run).tags:
            change_notes(run, lambda notes: Notes((*notes.tags, tag), notes.note))
        return run

    def _prune(self, now: Standing, trials: Sequence[Trial]) -> None:
        """Remove snapshots and states of the runs that are out, and of those that ended and are not the best."""
        ended = [number for number in now.left if trials[number].ended]
        best = min(ended, key=lambda number: trials[number].best, default=None)
        for number, trial in enumerate(trials):
            out = number not in now.left or trial.failed or (trial.ended and number != best)
            run = self.run(number)
            if out and run.model_path.is_file():
                try:
                    prune_run(run)
                except RunError as error:  # its files take space, but the sweep can go on
                    append_to_worker_log(run, str(error))


def check_trials(spec: SweepSpec, corpus: Corpus) -> None:
    """Raises :class:`SettingsError` where the settings of a run do not go together, or this machine cannot train it."""
    if not 2 <= len(spec.trials) <= MOST_TRIALS:
        raise SettingsError(f"A sweep has 2 to {MOST_TRIALS} runs, not {len(spec.trials)}: vary other settings")
    launch.check_device(spec.settings_of(0).device, here=True)
    for number in range(len(spec.trials)):
        launch.check_fits(spec.settings_of(number), corpus)


def sweep_chart(spec: SweepSpec, trials: Sequence[Trial]) -> str:
    """The best losses of the runs by the value of each setting, as SVG; empty before there are any. With halving, those
    after the same share of the steps, since others cannot be compared."""
    rows = list(zip(spec.trials, trials, strict=True))
    groups = {}
    for share in spec.shares:
        words = "after all steps" if share == 1 else f"after 1/{round(1 / share)} of its steps"
        reached = [(values, trial.loss_at(share)) for values, trial in rows if trial.has_reached(share)]
        groups[words if spec.halving else "a run"] = reached
    return stacked([chart for name in spec.varied if (chart := setting_chart(name, groups))])
