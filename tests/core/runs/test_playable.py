"""Which model of a run is generated with: never the untrained network, and of a run that trains one that has learnt.
And which of its models are compared with each other."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.model.file import save_model
from charlstm.runs.folder import RunFolder, RunSpec, create_run
from charlstm.runs.models import MOST_MODELS, models_of_run
from charlstm.runs.playable import LEARNT, PlayableModel, is_untrained, pairs_loss, playable_at_end, playable_model
from charlstm.runs.series import RunSeries
from charlstm.text.corpus import open_corpus
from charlstm.training.settings import Settings
from recorded_run import PAIRS_LOSS, Recorded, record, stepped, tiny_model, validated

GOAL = LEARNT * PAIRS_LOSS
BEST = PlayableModel()


def series_of(run: RunFolder) -> RunSeries:
    return RunSeries.of(run.events())


def found(recorded: Recorded, **status: object) -> PlayableModel | None:
    run = recorded.run
    return playable_model(run, replace(run.status(), **status), series_of(run), lambda: PAIRS_LOSS)


def without_snapshots(recorded: Recorded) -> Recorded:
    for snapshot in recorded.run.snapshots():
        snapshot.path.unlink()
    return recorded


def test_untrained_network_is_not_playable_while_its_step_is_unknown_elsewhere(tmp_path: Path) -> None:
    """The status that the app has may be older than the model's file, and then knows no best step."""
    with record(tmp_path, "running", steps=0) as recorded:
        assert recorded.run.model_path.is_file()
        assert [snapshot.step for snapshot in recorded.run.snapshots()] == [0]
        for best_step in (None, 0, 50):
            assert found(recorded, best_step=best_step) is None
    with record(tmp_path, "starting", name="new") as recorded:
        assert found(recorded) is None


def test_model_of_a_run_that_trains_is_playable_once_its_held_out_loss_has_fallen(tmp_path: Path) -> None:
    with without_snapshots(record(tmp_path, "running", steps=350)) as recorded:
        assert found(recorded) is None
        recorded.advance(50)
        assert found(without_snapshots(recorded)) == BEST
        before, at = (each.loss for each in series_of(recorded.run).validations[-2:])
        assert at < GOAL < before


def test_snapshot_before_the_first_good_validation_is_playable_by_its_training_loss(tmp_path: Path) -> None:
    with record(tmp_path, "running", steps=0) as recorded:
        save_model(recorded.run.snapshots_dir / "30.safetensors", tiny_model(run=recorded.run.name, step=30))
        recorded.append(stepped(29, GOAL + 0.1))
        assert found(recorded) is None
        recorded.append(stepped(30, GOAL - 0.1), stepped(31, GOAL + 1.0))
        assert found(recorded) == PlayableModel(30)


def test_model_of_a_run_that_trains_is_not_playable_without_a_loss_of_the_pairs(tmp_path: Path) -> None:
    with record(tmp_path, "running", steps=900) as recorded:
        run = recorded.run
        assert pairs_loss(run) == 0.0  # its text is gone
        assert playable_model(run, run.status(), series_of(run), lambda: pairs_loss(run)) is None


def test_loss_of_the_pairs_is_that_on_the_held_out_part(tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("".join(random.Random(0).choices("ab", [3, 1], k=50_000)))
    corpus = open_corpus(tmp_path / "novel.txt")
    run = create_run(RunSpec(corpus=corpus.to_record(), settings=Settings(epochs=1)), folder=tmp_path / "runs")
    assert pairs_loss(run) == pytest.approx(0.562, abs=0.02)  # the entropy of 3 to 1, in nats


def test_run_that_no_step_has_improved_is_not_playable_however_much_of_it_is_done(tmp_path: Path) -> None:
    with record(tmp_path, "running", steps=0) as recorded:
        recorded.append(*(validated(step, 9.0, best=False) for step in range(1, 900)))
        assert found(recorded, progress=0.9) is None


def test_best_model_is_playable_when_its_final_validation_begins(tmp_path: Path) -> None:
    with without_snapshots(record(tmp_path, "running", steps=50)) as recorded:
        assert (found(recorded), found(recorded, validated=0.1)) == (None, BEST)


@pytest.mark.parametrize(
    ("steps", "best", "snapshots", "playable"),
    [
        (0, {"step": 0}, (0,), None),
        (50, {"step": 50}, (0, 50), BEST),
        (50, {"step": 0}, (0, 20, 50), PlayableModel(50)),  # no step has improved it
        (50, {"step": 0, "lineage": {"from": "base.safetensors"}}, (0, 50), BEST),
        (50, {}, (), BEST),  # imported: it says no step
        (50, None, (0, 20), PlayableModel(20)),
        (0, None, (0,), None),
    ],
)
def test_after_the_end_the_best_trained_model_is_playable(
    tmp_path: Path, steps: int, best: dict[str, object] | None, snapshots: tuple[int, ...], playable: PlayableModel
) -> None:
    recorded = without_snapshots(record(tmp_path, "stopped", steps=steps))
    for step in snapshots:
        save_model(recorded.run.snapshots_dir / f"{step}.safetensors", tiny_model(step=step))
    recorded.run.model_path.unlink()
    if best is not None:
        save_model(recorded.run.model_path, tiny_model(**best))
        assert is_untrained(best) == (playable is None or playable.snapshot is not None)
    assert found(recorded) == playable_at_end(recorded.run) == playable


def test_damaged_model_is_awaited_while_the_run_trains_and_opened_when_it_has_ended(tmp_path: Path) -> None:
    """Opening it says what is wrong with it."""
    with without_snapshots(record(tmp_path, "running")) as recorded:
        recorded.run.model_path.write_bytes(b"no model")
        assert found(recorded) is None
    assert playable_at_end(recorded.run) == BEST


@pytest.mark.parametrize("best", [0, 1, 550, 620, 1050, 1100])
@pytest.mark.parametrize("most", [2, 8, MOST_MODELS])
def test_the_best_model_is_always_one_of_them(tmp_path: Path, best: int, most: int) -> None:
    """A normal run has up to 12 snapshots besides, and of 13 models the one in the middle was left out. In a run that
    overfits snapshots follow the best model."""
    run = record(tmp_path, "finished", steps=0).run
    for step in range(0, 1200, 100):
        save_model(run.snapshots_dir / f"{step}.safetensors", tiny_model(step=step))
    save_model(run.model_path, tiny_model(step=best))
    found = models_of_run(run, most)
    assert (best, run.model_path) in found
    assert len(found) == most
    assert [step for step, _ in found] == sorted({step for step, _ in found})
    others = [step for step, _ in found if step != best]
    assert others[0] == (100 if best == 0 else 0)
    if most > 2:
        assert others[-1] == (1000 if best == 1100 else 1100)
