"""Checks before a worker is started to resume a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from charlstm.errors import Advice, RunError, SettingsError
from charlstm.fields import plain
from charlstm.model.file import read_info
from charlstm.runs.folder import Run
from charlstm.runs.launch import (
    NewRun,
    check_resume,
    create_new_run,
    minutes_more,
    settings_to_continue,
    start_run,
    unread_commands,
)
from charlstm.runs.models import demo_path
from charlstm.runs.series import RunSeries
from charlstm.runs.status import RunState
from charlstm.runs.store import RunStore
from charlstm.training.progress import Progress
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState, load_state
from recorded_run import record
from small_training import make_plan


def begun(
    folder: Path, state: RunState = "finished", *, ended: str = "done", planned: int = 200, raised_to: float = 0.0,
    **settings: Any,
) -> Run:  # fmt: skip
    """A run with a checkpoint after 200 steps, which are two epochs, and a minute of work. A command may have raised
    its ``max_minutes``."""
    asked = Settings(**settings)
    run = record(folder, state, name="mine", steps=200, planned=planned, settings=asked).run
    progress = Progress(step=200, work_seconds=60.0, ended=ended)
    kept = {
        "plan": plain(make_plan(steps_per_epoch=100)),
        "progress": plain(progress),
        "asked": asked.to_dict(),
        "settings": (asked.with_changes(max_minutes=raised_to) if raised_to else asked).to_dict(),
    }
    RunStore(run, run.spec(), lambda: None).save_state(TrainingState(200, kept, {}))
    return run


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"max_minutes": 1.0}, "max_minutes", "1"),
        ({"max_minutes": 1.0, "epochs": 9.0}, "max_minutes", "1"),
        ({"max_minutes": 9.0, "epochs": 2.0}, "epochs", "2"),
        ({"epochs": 3.0, "max_steps": 200}, "max_steps", "200"),
    ],
)
def test_check_resume_of_a_finished_run_names_the_setting_that_ended_it(
    tmp_path: Path, settings: dict[str, Any], name: str, value: str
) -> None:
    run = begun(tmp_path, **settings)
    with pytest.raises(RunError, match=f"is finished: resume it with more than {name}={value} in all") as caught:
        check_resume(run, {})
    assert caught.value.advice == (Advice("resume", "mine", setting=name),)
    with pytest.raises(RunError, match="is finished"):
        check_resume(run, {name: settings[name]})
    check_resume(run, {name: 2 * settings[name]})


def test_check_resume_refuses_more_of_a_setting_that_does_not_end_the_run(tmp_path: Path) -> None:
    run = begun(tmp_path, max_minutes=1.0)
    with pytest.raises(SettingsError, match="200 steps, and max_minutes=1 ends it: raise that, or set it to none"):
        check_resume(run, {"epochs": 50.0})
    with pytest.raises(SettingsError, match=r"max_minutes=0\.5 ends it: raise that$"):
        check_resume(run, {"max_minutes": 0.5})
    check_resume(run, {"epochs": 50.0, "max_minutes": None})


def test_check_resume_accepts_another_rate_only_after_patience(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is finished"):
        check_resume(begun(tmp_path / "done", epochs=2.0), {"lr": 1e-4})
    check_resume(begun(tmp_path / "patience", ended="patience", epochs=9.0), {"lr": 1e-4})


def test_check_resume_refuses_fixed_settings_once_a_run_has_begun(tmp_path: Path) -> None:
    run = begun(tmp_path, "stopped", ended="stopped", epochs=9.0)
    with pytest.raises(SettingsError, match="hidden_size cannot change from 512 to 64"):
        check_resume(run, {"hidden_size": 64})
    check_resume(run, {"hidden_size": 512, "lr": 1e-4})
    run.state_path.unlink()
    check_resume(run, {"hidden_size": 64})


def test_check_resume_refuses_more_of_a_finished_run_without_its_state(tmp_path: Path) -> None:
    run = begun(tmp_path, epochs=2.0)
    run.state_path.unlink()
    with pytest.raises(RunError, match="cannot be continued, because its folder has no exact state"):
        check_resume(run, {"epochs": 9.0})


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


def test_check_resume_leaves_a_damaged_checkpoint_to_the_worker(tmp_path: Path) -> None:
    run = begun(tmp_path, max_minutes=1.0)
    run.state_path.write_bytes(b"junk")
    check_resume(run, {"max_minutes": 0.5})


@pytest.mark.parametrize("device", ["cuda", "cuda:99", "mps"])
def test_missing_device_is_refused_before_a_run_is_created(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("it is here")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "a.txt").write_text("the quick brown fox\n" * 100)
    settings = Settings(epochs=1, device=device)
    for make in (create_new_run, start_run):
        with pytest.raises(SettingsError, match=f"no device {device}:"):
            make(NewRun(tmp_path / "a.txt", settings, runs_dir=tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()
    run = begun(tmp_path, max_steps=200)
    before = run.status()
    with pytest.raises(SettingsError, match=f"no device {device}:"):
        check_resume(run, {"device": device, "max_steps": 300})
    assert run.status() == before


def test_command_in_the_checkpoint_was_carried_out_though_the_log_lacks_it(tmp_path: Path) -> None:
    """The worker was killed between the commit of the state and the line in the log."""
    run = begun(tmp_path, "stopped", ended="stopped")
    state = load_state(run.state_path)
    record = {**state.record, "schedule": {"amendments": [{"id": "done"}]}}
    RunStore(run, run.spec(), lambda: None).save_state(replace(state, record=record))
    lines = (
        f'{{"id":"{name}","time":{now},"command":"more","value":{now}}}\n'
        for now, name in enumerate(("done", "lost"), 1)
    )
    run.control_path.write_text("".join(lines))
    unread = unread_commands(run, RunSeries(), run.control_path.stat().st_size)
    assert unread is not None
    assert unread.endswith("before it read them: more 2")


def test_minutes_more_are_minutes_of_the_clock_for_every_run_that_has_ended(tmp_path: Path) -> None:
    """Without a checkpoint, by the figures of the status: 1,000 steps took 50 s, 400 took 20 s."""
    timed = Settings(hidden_size=256, max_minutes=1.0)
    assert minutes_more(record(tmp_path, "finished", name="timed", settings=timed).run, 2) == {"max_minutes": 2.83}
    stopped = record(tmp_path, "stopped", name="steps").run
    assert minutes_more(stopped, 1) == {"epochs": None, "max_minutes": 1.33}
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
    assert settings_to_continue(run, run.spec().settings).max_minutes == 13.0
    assert settings_to_continue(run, replace(run.spec().settings, max_minutes=6.0)).max_minutes == 6.0


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
