"""Checks before a worker is started to resume a run."""

import contextlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charlstm import storage
from charlstm.errors import Advice, RunError, SettingsError
from charlstm.fields import plain
from charlstm.model.file import read_info
from charlstm.runs import launch
from charlstm.runs.folder import RunFolder
from charlstm.runs.launch import NewRun, check_resume, create_new_run, minutes_more
from charlstm.runs.models import demo_path
from charlstm.runs.series import RunSeries
from charlstm.runs.status import RunState
from charlstm.runs.store import RunStore
from charlstm.training.events import Controlled
from charlstm.training.progress import Progress
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState, load_state
from recorded_run import record
from small_training import make_plan


def begun(
    folder: Path, state: RunState = "finished", *, ended: str = "done", planned: int = 200, raised_to: float = 0.0,
    **settings: Any,
) -> RunFolder:  # fmt: skip
    """A run with a checkpoint after 200 steps, which are two epochs, and a minute of work. A command may have raised
    its ``max_minutes``."""
    asked = Settings(**settings)
    run = record(folder, state, name="mine", steps=200, planned=planned, settings=asked).run
    kept = {
        "plan": plain(make_plan(steps_per_epoch=100)),
        "progress": plain(Progress(step=200, work_seconds=60.0, ended=ended)),
        "asked": asked.to_dict(),
        "settings": (asked.with_changes(max_minutes=raised_to) if raised_to else asked).to_dict(),
        "schedule": {"amendments": []},
    }
    RunStore(run, run.spec(), lambda: None).save_state(TrainingState(200, kept, {}))
    return run


@pytest.mark.parametrize(
    ("ended", "settings", "changes", "says"),
    [
        ("done", {"max_minutes": 1.0, "epochs": 9.0}, {}, "is finished: resume it with more than max_minutes=1 in all"),
        ("done", {"max_minutes": 9.0, "epochs": 2.0}, {}, "is finished: resume it with more than epochs=2 in all"),
        ("done", {"epochs": 3.0, "max_steps": 200}, {}, "is finished: resume it with more than max_steps=200 in all"),
        ("done", {"max_minutes": 1.0}, {"max_minutes": 1.0}, "is finished"),
        ("done", {"max_minutes": 1.0}, {"max_minutes": 2.0}, ""),
        ("done", {"max_minutes": 1.0}, {"max_minutes": 0.5}, r"max_minutes=0\.5 ends it: raise that$"),
        ("done", {"max_minutes": 1.0}, {"epochs": 50.0},
         "200 steps, and max_minutes=1 ends it: raise that, or set it to none"),
        ("done", {"max_minutes": 1.0}, {"epochs": 50.0, "max_minutes": None}, ""),
        ("done", {"epochs": 2.0}, {"lr": 1e-4}, "is finished"),
        ("patience", {"epochs": 9.0}, {"lr": 1e-4}, ""),
        ("stopped", {"epochs": 9.0}, {"hidden_size": 64}, "hidden_size cannot change from 512 to 64"),
        ("stopped", {"epochs": 9.0}, {"hidden_size": 512, "lr": 1e-4}, ""),
        ("stopped", {"epochs": 9.0}, {"device": "cuda:99"}, "This machine has no device cuda:99:"),
    ],
)  # fmt: skip
def test_resume_is_refused_that_cannot_train_or_would_train_no_step_or_another_network(
    tmp_path: Path, ended: str, settings: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    run = begun(tmp_path, "stopped" if ended == "stopped" else "finished", ended=ended, **settings)
    with pytest.raises((RunError, SettingsError), match=says) if says else contextlib.nullcontext():
        check_resume(run, changes)


def test_refused_resume_of_a_finished_run_names_the_setting_to_raise(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        check_resume(begun(tmp_path, epochs=2.0), {})
    assert caught.value.advice == (Advice("resume", "mine", setting="epochs"),)


def test_resume_without_an_exact_state_is_left_to_the_worker_unless_the_run_is_finished(tmp_path: Path) -> None:
    run = begun(tmp_path / "damaged", max_minutes=1.0)
    run.state_path.write_bytes(b"junk")
    check_resume(run, {"max_minutes": 0.5})
    run.state_path.unlink()
    with pytest.raises(RunError, match="cannot be continued, because its folder has no exact state"):
        check_resume(run, {"max_minutes": 9.0})
    run = begun(tmp_path / "begins anew", "stopped", ended="stopped", epochs=9.0)
    run.state_path.unlink()
    check_resume(run, {"hidden_size": 64})


def test_resume_that_failed_at_its_start_can_be_repeated(tmp_path: Path) -> None:
    """The worker has written the changed settings into run.json before the trainer could be built."""
    run = begun(tmp_path / "passes", epochs=2.0)
    run.write_spec(replace(run.spec(), settings=Settings(epochs=4.0)))
    check_resume(run, {"epochs": 4.0})
    check_resume(run, {})  # it continues as was asked for last
    with pytest.raises(RunError, match="is finished: resume it with more than epochs=2 in all"):
        check_resume(run, {"epochs": 2.0})

    run = begun(tmp_path / "minutes", max_minutes=1.0)
    run.write_spec(replace(run.spec(), settings=Settings(max_minutes=3.0, epochs=9.0)))
    assert minutes_more(run, 2) == {"max_minutes": 3.0, "epochs": None}


def test_missing_device_is_refused_before_a_run_is_created(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the quick brown fox\n" * 100)
    with pytest.raises(SettingsError, match="no device cuda:99:"):
        create_new_run(NewRun(tmp_path / "a.txt", Settings(epochs=1, device="cuda:99"), runs_dir=tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_commands_that_neither_the_log_nor_the_checkpoint_has_are_named(tmp_path: Path) -> None:
    """They were shown as sent, and nothing ever said what became of them. The worker may have been killed between the
    commit of a state and the line in the log."""
    run = begun(tmp_path, "stopped", ended="stopped")
    state = load_state(run.state_path)
    kept = {**state.record, "schedule": {"amendments": [{"id": "in the state"}]}}
    RunStore(run, run.spec(), lambda: None).save_state(replace(state, record=kept))
    sent = (
        ("in the log", "checkpoint", None), ("in the state", "more", 1), ("a", "set-lr", 1e-3), ("b", "finish", None),
    )  # fmt: skip
    for name, command, value in sent:
        line = {"id": name, "time": time.time(), "command": command, "value": value}
        storage.append_line(run.control_path, json.dumps(line).encode())
    series = RunSeries.of([Controlled(step=1, id="in the log", command="checkpoint")])
    unread = launch.unread_commands(run, series, run.control_path.stat().st_size)
    assert unread.endswith("before it read them: set-lr 0.001, finish")


def test_minutes_more_are_minutes_of_the_clock_for_every_run_that_has_ended(tmp_path: Path) -> None:
    """Without a checkpoint, by the figures of the status: 1,000 steps took 50 s, 400 took 20 s."""
    timed = Settings(hidden_size=256, max_minutes=1.0)
    assert minutes_more(record(tmp_path, "finished", name="timed", settings=timed).run, 2) == {"max_minutes": 2.83}
    assert minutes_more(record(tmp_path, "stopped", name="steps").run, 1) == {"epochs": None, "max_minutes": 1.33}
    with record(tmp_path, "starting", name="new") as new, pytest.raises(RunError, match="has taken no step yet"):
        minutes_more(new.run, 1)


def test_minutes_more_take_a_limit_off_that_a_failed_resume_has_asked_for(tmp_path: Path) -> None:
    """Its checkpoint is of 200 steps in a minute."""
    run = begun(tmp_path, "stopped", ended="stopped", planned=300, max_minutes=60.0)
    changes = minutes_more(run, 2)
    assert changes == {"max_minutes": 3.0}
    check_resume(run, changes)
    run.write_spec(replace(run.spec(), settings=Settings(epochs=5.0, max_minutes=60.0)))
    assert minutes_more(run, 2) == {"epochs": None, "max_minutes": 3.0}


def test_settings_to_continue_keep_the_limit_that_a_command_raised(tmp_path: Path) -> None:
    """The command `more` raises the limit in the checkpoint, not in run.json: 13 minutes became 4."""
    run = begun(tmp_path, "stopped", ended="stopped", raised_to=13.0, max_minutes=4.0)
    assert launch.settings_to_continue(run, run.spec().settings).max_minutes == 13.0
    assert launch.settings_to_continue(run, replace(run.spec().settings, max_minutes=6.0)).max_minutes == 6.0


def test_run_that_starts_from_the_model_in_the_box_says_so_and_what_that_has_learnt(tmp_path: Path) -> None:
    (tmp_path / "fox.txt").write_text("the quick brown fox\n" * 100)
    settings = Settings(batch_size=2, seq_length=16, max_steps=1)
    demo = demo_path()
    assert demo is not None
    new = NewRun(tmp_path / "fox.txt", settings, model_from=str(demo), runs_dir=tmp_path / "runs")
    spec = create_new_run(new).spec()
    assert spec.started_from == "demo"
    assert spec.lineage is not None
    assert [text["fingerprint"] for text in spec.lineage["learnt"]] == [read_info(demo)[1]["fingerprint"]]
