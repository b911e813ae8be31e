"""Which models of a run are compared with each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from charlstm.model.file import save_model
from charlstm.runs.models import MOST_MODELS, models_of_run
from recorded_run import record, tiny_model


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
