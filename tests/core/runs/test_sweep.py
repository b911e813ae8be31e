"""Sweeps: which run is trained next, which settings are tried, what is kept."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charlstm import storage
from charlstm.errors import RunError, SettingsError
from charlstm.runs import sweep
from charlstm.runs.series import RunSeries
from charlstm.runs.sweep import GRID, HALVING, SweepSpec, Trial
from charlstm.training.events import Decided
from charlstm.training.settings import Settings
from faulty_disk import FaultyDisk
from recorded_run import started, validated

TEXT: Any = SimpleNamespace(name="text.txt", vocabulary=range(80))
SETTINGS = Settings(hidden_size=64, num_layers=1, max_steps=80)


def spec(*trials: dict[str, object], halving: bool = False) -> SweepSpec:
    return SweepSpec(
        preset="quick", given={}, settings=SETTINGS, trials=trials, halving=halving, corpus={"name": "text"}
    )


def train(curves: list[list[float]], shares: tuple[float, ...]) -> tuple[list[tuple[int, float]], sweep.Standing]:
    """Train runs with these losses at each eighth of their steps as a sweep does; returns what was trained, and up to
    where, and how it ended. A loss that is not a number ends a run that fails."""
    trials, trained = [Trial() for _ in curves], []
    while (now := sweep.standing(trials, shares)).next is not None:
        losses = curves[now.next][: round(8 * now.until)]
        points = tuple(((number + 1) / 8, loss) for number, loss in enumerate(losses))
        failed = any(map(math.isnan, losses))
        trials[now.next] = Trial(points, min(losses), ended=now.until == 1 and not failed, failed=failed)
        trained.append((now.next, now.until))
        assert len(trained) < 100
    return trained, now


def falling(by: float) -> list[float]:
    return [3 - by * step for step in range(8)]


def test_halving_trains_the_better_half_further_and_finds_the_best() -> None:
    firsts = (2.98, 3.0, 2.97, 2.99)  # the third is the best one from the first comparison on
    curves = [[first, *falling(by / 100)[1:]] for first, by in zip(firsts, (3, 1, 4, 2), strict=True)]
    trained, end = train(curves, HALVING)
    assert trained == [(0, 1 / 8), (1, 1 / 8), (2, 1 / 8), (3, 1 / 8), (2, 1 / 4), (0, 1 / 4), (2, 1 / 2), (2, 1.0)]
    assert end.left == (2,)


def test_a_grid_trains_each_run_once_to_its_end() -> None:
    trained, end = train([falling(0.1), falling(0.3), falling(0.2)], GRID)
    assert (trained, end.left) == ([(0, 1.0), (1, 1.0), (2, 1.0)], (1,))


@pytest.mark.parametrize("shares", [GRID, HALVING])
def test_a_run_that_failed_is_never_the_best(shares: tuple[float, ...]) -> None:
    diverged = [0.1, *[math.nan] * 7]
    assert train([[math.nan] * 8, falling(0.1), diverged], shares)[1].left == (1,)
    assert train([[math.nan] * 8, [math.nan] * 8], shares)[1].left == ()


def test_halving_compares_at_the_same_share_of_steps_however_far_a_run_is() -> None:
    further = Trial(((1 / 8, 2.5), (1 / 4, 1.0)), best=1.0)
    others = [Trial(((1 / 8, loss),), best=loss) for loss in (2.0, 2.2, 2.4)]
    assert further.loss_at(1 / 8) == 2.5
    assert sweep.standing([further, *others], HALVING).left == (1, 2)


def test_cost_is_what_halving_trains() -> None:
    trained, _ = train([falling(0.01 * by) for by in range(12)], HALVING)
    assert sum(dict(trained).values()) == sweep.cost(12, HALVING) == 4.0
    assert sweep.cost(12, GRID) == 12.0


def test_grid_has_every_combination_of_checked_values() -> None:
    grid = sweep.parse_grid(["lr=1e-3,3e-3", "clip=none,1"])
    assert sweep.grid_trials(grid) == (
        {"lr": 1e-3, "clip": None}, {"lr": 1e-3, "clip": 1.0}, {"lr": 3e-3, "clip": None}, {"lr": 3e-3, "clip": 1.0}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("read", "word", "says"),
    [
        (sweep.parse_grid, "rate=1", "rate is called lr here"),
        (sweep.parse_grid, "lr=1e-3,-1", "lr takes a number above 0, not -1.0"),
        (sweep.parse_grid, "lr", "is written as lr=1e-3,3e-3, not 'lr'"),
        (sweep.parse_grid, "lr=", "is written as"),
        (sweep.parse_ranges, "lr=1e-3", "from where to where"),
        (sweep.parse_ranges, "lr=1e-2..1e-3", "from where to where"),
        (sweep.parse_ranges, "schedule=linear..cosine", "a setting that is a number"),
        (sweep.parse_ranges, "clip=none..3", "from where to where"),
        (sweep.parse_ranges, "dropout=0..2", "dropout takes a number from 0 to 0.95"),
    ],
)
def test_wrong_settings_are_a_sentence(read: object, word: str, says: str) -> None:
    assert callable(read)
    with pytest.raises(SettingsError, match=says.replace("(", r"\(")):
        read([word])


def test_random_draws_are_in_range_and_spread_over_the_factors_of_a_rate() -> None:
    ranges = sweep.parse_ranges(["lr=1e-4..1e-2", "dropout=0..0.5", "hidden_size=16..256"])
    drawn = sweep.random_trials({"schedule": ("linear", "cosine")}, ranges, 400, seed=1)
    assert drawn == sweep.random_trials({"schedule": ("linear", "cosine")}, ranges, 400, seed=1)
    for trial in drawn:
        assert SETTINGS.with_changes(**trial)
        assert 1e-4 <= trial["lr"] <= 1e-2
        assert 16 <= trial["hidden_size"] <= 256
    assert {trial["schedule"] for trial in drawn} == {"linear", "cosine"}
    for name, middle in (("lr", 1e-3), ("dropout", 0.25), ("hidden_size", 64)):
        assert 150 < sum(trial[name] < middle for trial in drawn) < 250


def test_a_sweep_is_read_as_it_was_written_and_a_damaged_one_refused(tmp_path: Path) -> None:
    made = sweep.Sweep.create(spec({"lr": 0.1, "clip": None}, {"lr": 0.2, "clip": 1.0}), "s", TEXT, tmp_path)
    assert sweep.Sweep.named("s", tmp_path) == made
    with pytest.raises(RunError, match=r"There is s in .* already: choose another name, or --resume it"):
        sweep.Sweep.create(made.spec, "s", TEXT, tmp_path)
    with storage.use_disk(FaultyDisk(0, again=True, only=frozenset({"write"}))), pytest.raises(RunError, match="space"):
        sweep.Sweep.create(made.spec, "full", TEXT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    with pytest.raises(RunError, match="No sweep can be created in"):
        sweep.Sweep.create(made.spec, "t", TEXT, made.path / sweep.SWEEP)
    assert [run.name for run in made.runs()] == ["s-1", "s-2"]
    (made.path / sweep.SWEEP).write_text("{}")
    with pytest.raises(RunError, match="is damaged"):
        sweep.Sweep.named("s", tmp_path)
    with pytest.raises(RunError, match="There is no sweep t"):
        sweep.Sweep.named("t", tmp_path)


def test_chart_has_a_panel_for_each_setting_that_differs() -> None:
    asked = spec(*({"lr": rate, "schedule": word} for rate in (1e-3, 3e-3, 1e-2) for word in ("linear", "cosine")))
    trials = [Trial(best=loss, ended=True) for loss in (2.0, 2.1, 1.8, 1.9, 1.85, math.inf)]
    drawn = sweep.sweep_chart(asked, trials)
    root = ElementTree.fromstring(drawn)
    texts = ["".join(each.itertext()) for each in root.iter() if each.tag.endswith("text")]
    assert {"0.001", "0.003", "0.01", "linear", "cosine"} <= set(texts)
    assert sum(each.tag.endswith("circle") for each in root.iter()) == 2 * (5 + 1)
    assert sweep.sweep_chart(asked, [Trial()] * 6) == ""
    many = spec(*({"lr": 1e-4 * 1.3**number} for number in range(20)))
    assert sweep.sweep_chart(many, [Trial(best=2.0, ended=True)] * 20).count("<circle") == 21


def test_chart_of_halving_compares_after_the_same_share_of_steps() -> None:
    asked = spec({"lr": 0.1}, {"lr": 0.2}, halving=True)
    out = Trial(((1 / 8, 2.5),), best=2.5, pruned=True)
    further = Trial(((1 / 8, 2.4), (1.0, 1.5)), best=1.5, ended=True)
    drawn = sweep.sweep_chart(asked, [out, further])
    assert drawn.count("<circle") == 2 + 3 * 1 + 4  # both after an eighth, one further, and the legend
    assert "after 1/8 of its steps" in drawn
    assert "after all steps" in drawn


def test_a_run_that_was_pruned_does_not_come_back_though_it_was_better_by_a_little() -> None:
    """Another one began again after a kill, and came to another loss in the last digits."""
    pruned, again = Trial(((1 / 8, 2.0),), best=2.0, pruned=True), Trial(((1 / 8, 2.0001),), best=2.0001)
    assert sweep.standing([pruned, again], HALVING) == sweep.Standing((1,), 1, 1 / 4)


def test_points_of_a_run_stay_where_they_were_while_its_end_moves() -> None:
    """With a limit in minutes a run was left out, and then to be continued."""
    series = RunSeries.of([started(planned_steps=80), validated(10, 2.0), Decided(step=10, steps_left=10)])
    assert series.planned_steps == 20
    assert Trial.of(series).points == ((1 / 8, 2.0),)


def test_sweep_keeps_a_persons_files_and_a_run_that_cannot_be_read_now(tmp_path: Path) -> None:
    made = sweep.Sweep.create(spec({"lr": 0.1}, {"lr": 0.2}), "s", TEXT, tmp_path)
    thesis, model = made.run(0).path / "thesis.txt", made.run(1).model_path
    for file in (thesis, model):
        file.parent.mkdir()
        file.touch()
    made.run(1).spec_path.symlink_to("run.json")  # an error for who reads it, but it is there
    for number, says in enumerate((r"move away what is there \(thesis.txt\)", "cannot be read now")):
        with pytest.raises(RunError, match=says):
            made._prepared(number, TEXT)
    assert thesis.exists()
    assert model.exists()
