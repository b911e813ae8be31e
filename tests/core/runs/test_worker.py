"""The worker with a fake trainer, in this process and without torch: what it logs, reports and leaves on disk."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import shutil
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlstm import storage
from charlstm.config import written
from charlstm.errors import RunError, SettingsError
from charlstm.fields import plain
from charlstm.model.file import load_model
from charlstm.runs import launch, liveness, queue, queue_file, worker
from charlstm.runs.control import send_command
from charlstm.runs.failures import describe_failure
from charlstm.runs.folder import Run
from charlstm.runs.liveness import HeartbeatRecord
from charlstm.runs.log import read_events
from charlstm.runs.series import RunSeries
from charlstm.runs.store import RunStore, load_state
from charlstm.system import StopSignals
from charlstm.text.sources import ReadProgress
from charlstm.training.events import Controlled, Event, Failed, Finished, Resumed, Warned, to_line
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState
from faulty_disk import FaultyDisk, have_no_locks
from recorded_run import started, stepped, tiny_model, validated
from small_training import make_plan

Script = Callable[[Any], Iterator[Event]]
Train = Callable[[Script], list[Any]]
PLAN = make_plan()


def ended(step: int, reason: str = "done") -> Finished:
    return Finished(step=step, reason=reason, best_val=2.0, best_step=step, train_seconds=step * 0.5)


def state(step: int) -> TrainingState:
    return TrainingState(step, {"asked": {}}, {"weights": np.full(50, step, dtype=np.float32)})


def until_stopped(trainer: Any) -> Iterator[Event]:
    """Train until a stop is requested."""
    yield started()
    deadline = time.monotonic() + 60
    for step in itertools.count(1):
        if time.monotonic() > deadline:
            raise AssertionError("no stop was requested")
        for command in trainer.hooks.commands():
            yield Controlled(step=step, id=command.id, command=command.command, value=command.value)
            if command.command == "stop":
                trainer.store.save_state(state(step))
                yield ended(step, "stopped")
                return
        yield stepped(step)


def resumed(trainer: Any) -> Iterator[Event]:
    yield Resumed(step=trainer.state.step, planned_steps=200)
    yield ended(200, "stopped")


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Train:
    """Replace the trainer by a script; returns the list of the trainers that were built."""

    def use(script: Script) -> list[Any]:
        made: list[Any] = []

        class FakeTrainer:
            def __init__(self, corpus: Any, settings: Settings, **given: Any) -> None:
                self.vocabulary = corpus.vocabulary
                self.settings = settings
                self.__dict__ |= {"state": None, "plan": None, **given}
                made.append(self)

            @classmethod
            def resume(cls, corpus: Any, settings: Settings, state: TrainingState, **given: Any) -> FakeTrainer:
                return cls(corpus, settings, state=state, **given)

            def events(self) -> Iterator[Event]:
                return script(self)

        module = types.ModuleType("charlstm.engine.trainer")
        module.Trainer = FakeTrainer  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "charlstm.engine.trainer", module)
        return made

    return use


@pytest.fixture
def run(tmp_path: Path) -> Run:
    text = tmp_path / "poem.txt"
    text.write_text("\n\n  Short.\nThe old pond: a frog jumps in, the sound of water.\n" * 20)
    return launch.create_new_run(launch.NewRun(str(text), Settings(max_steps=100), "quick", runs_dir=tmp_path / "runs"))


def test_worker_trains_a_run_from_start_to_end(run: Run, train: Train) -> None:
    def script(trainer: Any) -> Iterator[Event]:
        trainer.store.save_plan(PLAN)
        yield started()
        assert run.status().state == "running"
        yield validated(0, 4.5)
        yield stepped(5)
        yield validated(5, 2.5)
        trainer.store.save_model(tiny_model())
        trainer.store.save_snapshot(tiny_model(), 5)
        trainer.store.save_state(state(5))
        assert trainer.info["prime"] == "The old pond: a frog"
        assert trainer.hooks.sample(tiny_model())[0] == trainer.info["prime"]
        yield ended(10)

    made = train(script)
    events = list(worker.run_foreground(run))
    assert [event.name for event in events] == ["started", "validation", "step", "validation", "finished"]
    assert events == list(read_events(run.events_path))
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.first_val, last.epochs) == (4.5, 1.0)
    status = run.status()
    assert (status.state, status.alive, status.best_val, status.step) == ("finished", False, 2.0, 10)
    spec = run.spec()
    assert spec.plan == plain(PLAN)
    assert spec.corpus["fingerprint"]
    assert spec.versions["python"]
    assert load_model(run.model_path).config.hidden_size == 8
    assert [snapshot.step for snapshot in run.snapshots()] == [5]
    assert made[0].settings == Settings(max_steps=100)
    with pytest.raises(RunError, match="is finished: resume it with more"):
        next(worker.run_foreground(run))


def test_changes_before_the_first_checkpoint_discard_the_plan(run: Run, train: Train) -> None:
    run.write_spec(replace(run.spec(), plan=plain(PLAN)))
    made = train(lambda trainer: iter([started(), ended(0, "stopped")]))
    list(worker.run_foreground(run))
    assert made[-1].plan == PLAN
    list(worker.run_foreground(run, changes={"batch_size": 4}))
    assert made[-1].plan is None
    assert run.spec().plan is None
    assert run.spec().settings.batch_size == 4


@pytest.mark.parametrize("why", ["SIGINT", "SIGTERM", "SIGHUP", "closed"])
def test_first_signal_or_a_closed_iterator_stops_the_run_with_a_checkpoint(run: Run, train: Train, why: str) -> None:
    train(until_stopped)
    events = worker.run_foreground(run)
    for event in events:
        if event.step == 7 and event.name == "step":
            if why == "closed":
                events.close()
            else:
                signal.raise_signal(getattr(signal, why))
            if why == "SIGHUP":
                signal.raise_signal(signal.SIGHUP)  # the shell sends it again
    *_, asked, last = read_events(run.events_path)
    assert isinstance(asked, Controlled)
    assert (asked.id, asked.command, asked.step, last.name) == (why, "stop", 8, "finished")
    assert run.status().state == "stopped"
    assert load_state(run)[0] is not None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # and all is as it was


def test_second_signal_interrupts(run: Run, train: Train) -> None:
    def deaf(trainer: Any) -> Iterator[Event]:
        yield started()
        signal.raise_signal(signal.SIGINT)
        yield stepped(1)
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("still there")

    train(deaf)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        list(worker.run_foreground(run))
    status = run.status()
    assert (status.state, status.message) == (
        "stopped",
        "it was interrupted; a resume continues from its last checkpoint",
    )
    liveness.acquire_lock(run.lock_path, patience=0).release()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "its folder was moved or replaced while it trained; resume it under its new name"),
        ("events.jsonl", "its event log was removed while it trained; resume it"),
        ("lock", "its file `lock` was removed while it trained; resume it"),
    ],
)
def test_worker_whose_folder_log_or_lock_is_another_saves_its_state_and_stops(
    run: Run, train: Train, name: str, says: str
) -> None:
    """tests/torture/kill_worker.py moves, replaces and deletes folders in the middle of checkpoints, too."""
    left = run if name else Run(run.path.with_name("moved"))

    def script(trainer: Any) -> Iterator[Event]:
        for event in until_stopped(trainer):
            yield event
            if event.step == 7 and event.name == "step":
                (run.path / name).rename(run.path / "aside" if name else left.path)
                if name:
                    shutil.copy(run.path / "aside", run.path / name)

    train(script)
    with pytest.raises(RunError, match=f"ended: {says}"):
        list(worker.run_foreground(run))
    assert run.path.exists() == (left == run)
    status, (state, _) = left.status(), load_state(left)
    assert (status.state, status.alive, status.message) == ("stopped", False, says)
    assert state is not None
    assert state.step == 8


def test_second_worker_is_refused_and_the_first_continues(run: Run, train: Train) -> None:
    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        with pytest.raises(RunError, match=r"is running already: watch it"):
            next(worker.run_foreground(run))
        assert worker.main([str(run.path)]) == 1
        assert run.status().state == "running"
        yield ended(1)

    train(script)
    assert len(list(worker.run_foreground(run))) == 2
    assert run.status().state == "finished"


@pytest.mark.parametrize("error", [SettingsError("lr takes a number"), ZeroDivisionError("by\nzero")])
def test_failure_is_one_sentence_in_log_and_status(run: Run, train: Train, error: Exception) -> None:
    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        yield stepped(3)
        raise error

    train(script)
    last = list(worker.run_foreground(run))[-1]
    assert isinstance(last, Failed)
    assert (last.step, last.message) == (3, describe_failure(error, run.spec().settings))
    status = run.status()
    assert (status.state, status.message) == ("failed", last.message)
    assert ("Traceback" in run.log_path.read_text()) == (not isinstance(error, SettingsError))
    assert list(read_events(run.events_path))[-1] == last


@pytest.mark.parametrize(
    ("reason", "state"), [("done", "finished"), ("diverged", "failed"), ("", "failed"), ("stopped", None)]
)
def test_program_of_on_end_is_called_without_the_lock(
    run: Run, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, state: str | None
) -> None:
    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        if not reason:
            raise SettingsError("lr takes a number")
        yield ended(10, reason)

    train(script)
    code = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB); "
    code += "print(sys.stdin.read(), file=open(sys.argv[2], 'w')); raise SystemExit(3)"
    command = (sys.executable, "-c", code, str(run.lock_path), str(tmp_path / "got"))
    (tmp_path / "config.toml").write_text(f"on_end = {written(command)}\n")
    monkeypatch.setenv("CHARLSTM_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("HOME", str(tmp_path))
    list(worker.run_foreground(run))
    assert (tmp_path / "got").exists() == (state is not None)
    if state is not None:
        assert json.loads((tmp_path / "got").read_text())["state"] == state
        assert run.log_path.read_text().endswith(f"The program of on_end, {sys.executable}, ended with exit code 3\n")


def test_worker_waits_while_the_disk_is_full_and_takes_commands_meanwhile(
    run: Run, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, waited = FaultyDisk(0, only=frozenset({"write"}), again=True), []
    update = worker.Heartbeat.update

    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        storage.disk = full
        yield stepped(1)
        assert [command.command for command in trainer.hooks.commands()] == ["checkpoint"]
        yield ended(2)

    def note_waiting(self: worker.Heartbeat, **changes: Any) -> None:
        update(self, **changes)
        if self.record.state == "waiting":
            waited.append(self.record.message)

    def room_again(seconds: float) -> None:
        run.control_path.write_text('{"id":"x","command":"checkpoint","value":null}\n')
        if len(waited) == 3:
            storage.disk = storage.Disk()

    monkeypatch.setattr(worker.Heartbeat, "update", note_waiting)
    monkeypatch.setattr(worker.time, "sleep", room_again)
    train(script)
    with storage.use_disk(storage.Disk()):
        events = list(worker.run_foreground(run))
    assert [event.name for event in events] == ["started", "step", "finished"]
    assert list(read_events(run.events_path)) == events  # each once
    assert "No space left" in waited[0]
    assert run.status().state == "finished"


@pytest.mark.parametrize(
    ("end", "says_moved"),
    [
        (lambda run: signal.raise_signal(signal.SIGTERM), False),
        (lambda run: run.control_path.write_text('{"id":"x","command":"stop","value":null}\n'), False),
        (lambda run: run.path.rename(run.path.with_name("moved")), True),
    ],
    ids=["signal", "command", "moved"],
)
def test_wait_for_a_full_disk_ends_with_a_stop_or_without_a_folder(
    run: Run, train: Train, monkeypatch: pytest.MonkeyPatch, end: Callable[[Run], object], says_moved: bool
) -> None:
    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        with storage.use_disk(FaultyDisk(0, again=True, only=frozenset({"write", "sync"}))):
            yield stepped(1)

    waits = iter([lambda: end(run)])
    monkeypatch.setattr(worker.time, "sleep", lambda seconds: next(waits)())
    train(script)
    moved = pytest.raises(RunError, match="its folder was moved or replaced")
    with moved if says_moved else contextlib.nullcontext():
        assert [event.name for event in worker.run_foreground(run)] == ["started"]
    assert next(waits, None) is None
    if not says_moved:
        assert run.status().state in ("stopped", "crashed")  # the heartbeat may not have been writable either


def test_stop_command_ends_the_trainers_wait_for_a_full_disk(run: Run, train: Train) -> None:
    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        send_command(run, "stop")
        assert [command.command for command in trainer.hooks.commands()] == ["stop"]
        assert list(trainer.hooks.commands()) == []
        raise OSError(errno.ENOSPC, "No space left on device")  # as a trainer that waits for a checkpoint to be written

    train(script)
    assert [event.name for event in worker.run_foreground(run)] == ["started"]
    assert run.status().state == "stopped"
    assert "No space left" in run.status().message
    assert "Traceback" not in run.log_path.read_text()


def test_resume_applies_changes_and_knows_how_far_the_log_is(run: Run, train: Train) -> None:
    train(until_stopped)
    for event in worker.run_foreground(run):
        if event.step == 4 and event.name == "step":
            signal.raise_signal(signal.SIGINT)

    made = train(resumed)
    events = list(worker.run_foreground(run, changes={"max_steps": 200, "seed": 0}))
    assert [event.name for event in events] == ["resumed", "finished"]
    assert made[0].state.step == 5
    assert made[0].logged_until == 5
    assert made[0].settings.max_steps == 200
    assert run.spec().settings.max_steps == 200
    with pytest.raises(SettingsError):
        next(worker.run_foreground(run, changes={"max_steps": -1}))


def test_run_of_0_3_gets_its_text_when_it_is_resumed_and_then_resumes_on_another_machine_from_its_folder_alone(
    run: Run, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(run, train, "stopped")
    train(resumed)
    text, spec = run.text_path.read_bytes(), run.spec()
    kept = {name: value for name, value in spec.corpus.items() if name not in ("vocabulary", "counts")}
    run.write_spec(replace(spec, corpus=kept))
    run.text_path.unlink()
    assert [event.name for event in worker.run_foreground(run)] == ["resumed", "finished"]
    assert (run.text_path.read_bytes(), run.spec()) == (text, spec)
    other = Run(tmp_path / "elsewhere" / "copied")
    shutil.copytree(run.path, other.path)
    (tmp_path / "poem.txt").unlink()
    shutil.rmtree(tmp_path / "runs")
    for name in ("CHARLSTM_CACHE", "CHARLSTM_STATE"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere" / name))
    about = other.spec().corpus
    assert [event.name for event in worker.run_foreground(other)] == ["resumed", "finished"]
    assert other.spec().corpus == about


def finish(run: Run, train: Train, reason: str = "done") -> list[Event]:
    """Train the run to its end, with a checkpoint. Returns the events."""

    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        trainer.store.save_state(state(2))
        yield ended(2, reason)

    train(script)
    return list(worker.run_foreground(run))


def test_resume_that_fails_to_begin_leaves_the_run_unchanged(
    run: Run, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = finish(run, train)
    spec = run.spec()

    def refuse(*_: Any, **__: Any) -> None:
        raise SettingsError("max_minutes ends it")

    monkeypatch.setattr(sys.modules["charlstm.engine.trainer"], "Trainer", types.SimpleNamespace(resume=refuse))
    with pytest.raises(RunError, match="max_minutes ends it"):
        list(worker.run_foreground(run, changes={"max_steps": 200}))
    assert list(read_events(run.events_path)) == before
    assert (run.status().state, run.status().message) == ("finished", "max_minutes ends it")
    assert run.spec().settings.max_steps == spec.settings.max_steps


def slow_reading(monkeypatch: pytest.MonkeyPatch, act: Callable[[ReadProgress], None]) -> None:
    """Let the text be read in three parts, as if it were large and not in the cache; ``act`` is called before each."""
    from charlstm.text import corpus

    def read_slowly(what: Any) -> Any:
        def read(*args: Any, progress: Callable[[ReadProgress], None], **given: Any) -> Any:
            for done in range(3):
                part = ReadProgress(done, 3, "reading")
                act(part)
                progress(part)
            return what(*args, progress=progress, **given)

        return read

    monkeypatch.setattr(corpus, "open_corpus", read_slowly(corpus.open_corpus))
    monkeypatch.setattr(worker, "open_text", read_slowly(worker.open_text))


@pytest.mark.parametrize("ending", ["done", "patience", "stopped", "diverged"])
@pytest.mark.parametrize("signals", [1, 2])
def test_resume_that_is_interrupted_before_it_begins_leaves_a_finished_run_finished(
    run: Run, train: Train, monkeypatch: pytest.MonkeyPatch, ending: str, signals: int
) -> None:
    """A run that was finished became one that was stopped, so that "more minutes" added to its whole limit."""
    before, was = finish(run, train, ending), run.status()

    def interrupt(done: ReadProgress) -> None:
        for _ in range(signals):
            signal.raise_signal(signal.SIGINT)

    slow_reading(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt, match="SIGINT"):
        next(worker.run_foreground(run, changes={"max_steps": 200}))
    assert list(read_events(run.events_path)) == before
    status = run.status()
    state_after = "finished" if was.state == "finished" else "stopped"
    assert (status.state, status.step) == (state_after, was.step)
    if signals == 1:
        assert status.message == "it was stopped while the text was being read"
    elif state_after == "stopped":
        assert status.message == "it was interrupted; a resume continues from its last checkpoint"
    else:
        assert status.message == "a resume was interrupted before it began"


def test_stop_command_ends_the_reading_of_the_text(run: Run, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's key and `control RUN stop` write one; the worker read on, loaded torch and measured first."""
    parts: list[int] = []

    def stop_at_the_second_part(done: ReadProgress) -> None:
        parts.append(done.done)
        if done.done == 1:
            send_command(run, "stop")

    slow_reading(monkeypatch, stop_at_the_second_part)
    made = train(until_stopped)
    assert list(worker.run_foreground(run)) == []
    assert (parts, made) == ([0, 1], [])
    assert (run.status().state, run.status().message) == ("stopped", "it was stopped while the text was being read")


def write_heartbeat_of_launch(run: Run) -> None:
    """As ``launch`` does on behalf of a worker that has this process."""
    liveness.write_heartbeat(run.heartbeat_path, HeartbeatRecord(state="starting"))


@pytest.mark.parametrize(("finished", "state_after"), [(False, "failed"), (True, "finished")])
def test_worker_that_ends_before_its_own_heartbeat_says_why(
    run: Run, train: Train, monkeypatch: pytest.MonkeyPatch, finished: bool, state_after: str
) -> None:
    """It was reported as killed for lack of memory."""
    if finished:
        finish(run, train)
    write_heartbeat_of_launch(run)
    have_no_locks(monkeypatch)
    assert worker.main([str(run.path)]) == 1
    status = run.status()
    assert (status.state, status.alive) == (state_after, False)
    assert status.message.endswith("has no locks: keep runs in a folder on another one")


def test_resume_uses_the_previous_checkpoint_when_the_last_is_damaged(run: Run, train: Train) -> None:
    store = RunStore(run, run.spec(), lambda: None)
    for step in (10, 20):
        store.save_state(state(step))
    content = bytearray(run.state_path.read_bytes())
    content[-3] ^= 1
    run.state_path.write_bytes(content)

    made = train(lambda trainer: iter([Resumed(step=10), ended(30)]))
    events = list(worker.run_foreground(run))
    assert made[0].state.step == 10
    assert isinstance(events[1], Warned)
    assert "the one before it, at step 10" in events[1].message
    assert load_state(run)[1] is None  # which the next checkpoint keeps, and not the damaged one


def test_resume_names_the_commands_that_a_killed_worker_had_not_read(run: Run, train: Train) -> None:
    """They were shown as sent, and nothing ever said what became of them."""
    log = [started(), Controlled(step=1, id="read", command="checkpoint")]  # of a worker that was killed after that
    run.events_path.write_text("".join(f"{to_line(event)}\n" for event in log))
    RunStore(run, run.spec(), lambda: None).save_state(state(1))
    for sent, command, value in (("read", "checkpoint", None), ("one", "set-lr", 1e-3), ("two", "finish", None)):
        line = {"id": sent, "time": time.time(), "command": command, "value": value}
        storage.append_line(run.control_path, json.dumps(line).encode())

    def script(trainer: Any) -> Iterator[Event]:
        yield Resumed(step=trainer.state.step)
        assert trainer.hooks.commands() == [], "none is carried out"
        yield ended(30)

    train(script)
    warned = [event.message for event in worker.run_foreground(run) if isinstance(event, Warned)]
    assert warned == [
        "Not carried out, because the process that trained died before it read them: set-lr 0.001, finish"
    ]
    again = RunSeries.of(read_events(run.events_path))
    assert launch.unread_commands(run, again, run.control_path.stat().st_size) is None, "they are named once"


def test_temporary_files_of_a_killed_worker_are_removed(run: Run, train: Train) -> None:
    run.snapshots_dir.mkdir()
    names = (".model.safetensors.123.tmp", ".text.bin.12.tmp")
    leftovers = [*(run.path / name for name in names), run.snapshots_dir / ".50.safetensors.12.345.tmp"]
    in_use = [run.path / f".{name}.12.345.tmp" for name in (run.notes_path.name, "mine.onnx")]  # by other programs
    for path in leftovers + in_use:
        path.write_bytes(b"half")
    run.events_path.write_bytes(b'{"event":"started","st')
    train(lambda trainer: iter([started(), ended(1)]))
    assert len(list(worker.run_foreground(run))) == 2
    assert [path for path in leftovers + in_use if path.exists()] == in_use
    assert len(list(read_events(run.events_path))) == 2


def test_final_validation_is_in_the_status_of_a_run(run: Run, train: Train) -> None:
    def script(trainer: Any) -> Iterator[Event]:
        # 600 characters to validate at 1.2 times the speed of training, 100 characters a step: five steps
        yield started(planned_steps=10, train_chars=1000, steps_per_epoch=10, val_chars=600)
        yield stepped(10)
        trainer.hooks.validation_progress(0.4)
        deadline = time.monotonic() + 60
        while run.status().validated is None and time.monotonic() < deadline:  # it is written each second
            time.sleep(0.02)
        status = run.status()
        # "left 0:03" stood there for 40 s: the pace of the steps says little of it
        assert (status.validated, status.percent, status.seconds_left) == (0.4, 80, None)
        yield ended(10)

    shown: list[tuple[float, float | None]] = []
    train(script)
    events = list(worker.run_foreground(run, show_validation=lambda *args: shown.append(args)))
    assert shown == [(0.4, None)]
    assert [event.name for event in events] == ["started", "step", "finished"]
    status = run.status()
    assert (status.validated, status.percent, status.seconds_left) == (None, 100, None)


@pytest.mark.parametrize(("why", "goes_on"), [("SIGINT", True), ("closed", True), ("SIGTERM", False)])
def test_worker_leaves_the_queue_and_starts_the_next_run_unless_the_machine_shuts_down(
    run: Run, train: Train, monkeypatch: pytest.MonkeyPatch, why: str, goes_on: bool
) -> None:
    following = launch.create_new_run(launch.NewRun(run.spec().corpus, Settings(max_steps=1), runs_dir=run.path.parent))
    started_runs: list[Run] = []
    monkeypatch.setattr(launch, "launch", started_runs.append)
    queue.add_run(run)
    queue.add_run(following)

    def script(trainer: Any) -> Iterator[Event]:
        assert queue_file.waiting_paths() == (following.path,)
        trainer.hooks.commands()
        signals.request_stop(why)
        yield started()
        yield ended(1, "stopped")

    with StopSignals() as signals:
        monkeypatch.setattr(worker, "StopSignals", lambda: contextlib.nullcontext(signals))
        train(script)
        list(worker.run_foreground(run))
    assert started_runs == [following] * goes_on


def test_worker_says_in_its_log_that_the_queue_cannot_be_changed(
    run: Run, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: Path) -> None:
        raise RunError("The queue cannot be changed: No space left on device")

    train(lambda trainer: iter([started(), ended(1)]))
    queue.add_run(run)
    monkeypatch.setattr(queue_file, "remove_from_queue", refuse)
    monkeypatch.setattr(launch, "launch", lambda run: pytest.fail("it would start itself again"))
    assert [event.name for event in worker.run_foreground(run)] == ["started", "finished"]
    assert run.log_path.read_text().count("The queue cannot be changed") == 2
