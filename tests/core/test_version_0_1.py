"""Files written by version 0.1.0 stay readable: runs, a training state, models, a session, a script checkpoint."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

import charlstm
from charlstm.engine.script_format import import_checkpoint
from charlstm.generation.session_file import load_session, read, to_bytes
from charlstm.runs.log import read_events
from charlstm.runs.series import RunSeries
from charlstm.runs.worker import run_foreground
from charlstm.training.events import Finished, Sampled, Stepped, Validated

pytestmark = pytest.mark.numeric

WRITTEN = Path(__file__).parents[1] / "data" / "version_0_1"


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """A copy of two runs written by 0.1, with their text at the path that is recorded in them."""
    text = shutil.copy(WRITTEN / "text.txt", tmp_path / "text.txt")
    runs = Path(shutil.copytree(WRITTEN / "runs", tmp_path / "runs"))
    for record in runs.glob("*/run.json"):
        record.write_text(record.read_text().replace("/home/reader/text.txt", str(text)))
    return runs


def test_runs_are_listed_with_their_state_and_best_loss(runs_dir: Path) -> None:
    found = {run.name: run.status() for run in charlstm.list_runs(runs_dir)}
    assert {name: status.state for name, status in found.items()} == {"finished": "finished", "stopped": "stopped"}
    assert found["finished"].best_val == pytest.approx(1.9494, abs=1e-4)
    assert found["stopped"].step == 60
    assert charlstm.find_run("stopped", runs_dir).spec().settings.hidden_size == 24


def test_resumed_run_reaches_the_losses_of_0_1(runs_dir: Path) -> None:
    """The losses of every later event agree up to float32 rounding, which differs between processors."""
    events = list(run_foreground(charlstm.find_run("stopped", runs_dir)))
    assert isinstance(events[-1], Finished)
    expected = RunSeries.of(read_events(WRITTEN / "continued" / "events.jsonl"))
    series = RunSeries.of(read_events(runs_dir / "stopped" / "events.jsonl"))
    assert series.step == expected.step == 120
    ours = [event.val_loss for event in series.validations if not event.whole]
    theirs = [event.val_loss for event in expected.validations if not event.whole]
    assert ours == pytest.approx(theirs, abs=2e-4)
    losses = {event.step: event.train_loss for event in events if isinstance(event, Stepped)}
    for event in read_events(WRITTEN / "continued" / "events.jsonl"):
        if isinstance(event, Stepped) and event.step > 60:
            assert losses[event.step] == pytest.approx(event.train_loss, abs=2e-4)
    ours_weights = charlstm.load_model(runs_dir / "stopped" / "model.safetensors").weights
    for name, array in charlstm.load_model(WRITTEN / "continued" / "model.safetensors").weights.items():
        assert np.abs(ours_weights[name] - array).max() < 5e-3


def test_every_event_of_0_1_is_read() -> None:
    events = list(read_events(WRITTEN / "runs" / "finished" / "events.jsonl"))
    lines = (WRITTEN / "runs" / "finished" / "events.jsonl").read_text().splitlines()
    assert [event.name for event in events] == [json.loads(line)["event"] for line in lines]
    assert {Stepped, Validated, Sampled, Finished} <= {type(event) for event in events}


def test_session_of_0_1_opens_and_continues(runs_dir: Path) -> None:
    model = charlstm.load_model(runs_dir / "finished" / "model.safetensors")
    session = load_session(runs_dir / "finished" / "sessions" / "evening.json", model)
    expected = json.loads((WRITTEN / "session_expected.json").read_text())
    assert session.text == expected["text"]
    assert session.read() == expected["whole"]
    assert session.position == expected["position"]
    assert [branch.text for branch in session.branches()] == expected["branches"]
    found = [step.probability for step in session.steps()]
    assert found == pytest.approx(expected["probabilities"], abs=1e-5)
    characters, probabilities = zip(*expected["next"], strict=True)
    assert [each.char for each in session.peek()[:3]] == list(characters[:3])
    assert [each.probability for each in session.peek()] == pytest.approx(probabilities, abs=1e-4)
    assert session.settings.mirostat == 2.0
    path = runs_dir / "again.json"
    path.write_bytes(to_bytes(session))
    document = read(runs_dir / "finished" / "sessions" / "evening.json").state.document
    assert read(path).state.document.list_branches() == document.list_branches()
    for _ in range(40):  # mirostat continues with limits computed anew
        assert math.isfinite(session.step().surprise)


def test_script_checkpoint_of_0_1_has_the_weights_of_its_model() -> None:
    model = charlstm.load_model(WRITTEN / "runs" / "finished" / "model.safetensors")
    imported = import_checkpoint(WRITTEN / "script.net")
    assert imported.vocabulary.symbols == model.vocabulary.symbols
    for name, array in model.weights.items():
        assert np.array_equal(imported.weights[name], array)
