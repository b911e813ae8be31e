"""The worker with a fake trainer, in this process and without torch: what it logs, reports and leaves on disk."""

import errno
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from charlstm import storage, system
from charlstm.errors import RunError, SettingsError, UnreadableFileError
from charlstm.fields import plain
from charlstm.model.file import load_model
from charlstm.runs import launch, liveness, on_end, queue, queue_file, worker
from charlstm.runs.contention import BACKGROUND_NICENESS
from charlstm.runs.control import send_command
from charlstm.runs.failures import describe_failure
from charlstm.runs.folder import RunFolder
from charlstm.runs.liveness import HeartbeatRecord
from charlstm.runs.log import read_events
from charlstm.runs.store import RunStore, load_state
from charlstm.text import corpus
from charlstm.text.sources import ReadProgress
from charlstm.training import state as exact
from charlstm.training.events import Controlled, Event, Finished, Resumed
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState
from faulty_disk import FaultyDisk, have_no_locks, use_disk
from recorded_run import started, stepped, tiny_model, validated
from small_training import make_plan
from waiting import wait_until

Script = Callable[[Any], Iterator[Event]]
Train = Callable[..., Generator[Any]]
"""Replaces the trainer by a script and returns the worker that trains the run with it."""
PLAN = make_plan()
STOPPED_READING = "it was stopped while the text was being read"
INTERRUPTED = "it was interrupted; a resume continues from its last checkpoint"


def ended(step: int, reason: str = "done") -> Finished:
    return Finished(step=step, reason=reason, loss=2.0, best_step=step, train_seconds=step * 0.5)


def state(step: int) -> TrainingState:
    return TrainingState(step, {"asked": {}}, {"weights": np.full(50, step, dtype=np.float32)})


def save_states(run: RunFolder, *steps: int) -> None:
    store = RunStore(run, run.spec(), lambda: None)
    for step in steps:
        store.save_state(state(step))


def until_stopped(trainer: Any) -> Iterator[Event]:
    """Train until a stop is requested."""
    yield started()
    for step in range(1, 100):
        for command in trainer.hooks.commands():
            yield Controlled(step=step, id=command.id, command=command.command, value=command.value)
            if command.command == "stop":
                trainer.store.save_state(state(step))
                yield ended(step, "stopped")
                return
        yield stepped(step)
    raise AssertionError("no stop was requested")


def resumed(trainer: Any) -> Iterator[Event]:
    yield Resumed(step=trainer.state.step, planned_steps=200)
    yield ended(200, "stopped")


@pytest.fixture
def made() -> list[Any]:
    """The trainers that were built."""
    return []


@pytest.fixture
def train(run: RunFolder, made: list[Any], monkeypatch: pytest.MonkeyPatch) -> Train:
    def use(script: Script, **how: Any) -> Generator[Any]:
        def make(corpus: Any, settings: Settings, state: Any = None, *, plan: Any = None, **given: Any) -> Any:
            trainer = SimpleNamespace(settings=settings, state=state, plan=plan, **given)
            trainer.events = lambda: script(trainer)
            made.append(trainer)
            return trainer

        make.resume = make
        monkeypatch.setitem(sys.modules, "charlstm.engine.trainer", SimpleNamespace(Trainer=make))
        return worker.run_foreground(run, **how)

    return use


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    text = tmp_path / "poem.txt"
    text.write_text("\n\n  Short.\nThe old pond: a frog jumps in, the sound of water.\n" * 20)
    return launch.create_new_run(launch.NewRun(str(text), Settings(max_steps=100), "quick", runs_dir=tmp_path / "runs"))


def test_worker_trains_a_run_from_start_to_end(run: RunFolder, train: Train, made: list[Any]) -> None:
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
        trainer.store.save_state(state(5))
        assert run.previous_state_path.exists()
        assert trainer.info["prime"] == trainer.hooks.sample(tiny_model())[0] == "The old pond: a frog"
        yield ended(10)

    events = list(train(script))
    assert [event.name for event in events] == ["started", "validation", "step", "validation", "finished"]
    assert events == list(read_events(run.events_path))
    assert (events[-1].first_val, events[-1].epochs) == (4.5, 1.0)
    status = run.status()
    assert (status.state, status.alive, status.loss, status.step) == ("finished", False, 2.0, 10)
    spec = run.spec()
    assert (spec.plan, made[0].settings) == (plain(PLAN), Settings(max_steps=100))
    assert spec.corpus["fingerprint"]
    assert spec.versions["python"]
    assert (load_model(run.model_path).config.hidden_size, [each.step for each in run.snapshots()]) == (8, [5])
    assert (run.state_path.exists(), run.previous_state_path.exists()) == (True, False)
    with pytest.raises(RunError, match="is finished: resume it with more"):
        next(worker.run_foreground(run))


def test_changes_before_the_first_checkpoint_discard_the_plan(run: RunFolder, train: Train, made: list[Any]) -> None:
    run.write_spec(replace(run.spec(), plan=plain(PLAN)))
    list(train(lambda trainer: iter([started(), ended(0, "stopped")])))
    list(worker.run_foreground(run, changes={"batch_size": 4}))
    assert [trainer.plan for trainer in made] == [PLAN, None]
    assert (run.spec().plan, run.spec().settings.batch_size) == (None, 4)


@pytest.mark.parametrize("why", ["SIGINT", "SIGTERM", "SIGHUP", "closed"])
def test_first_signal_or_closed_iterator_stops_a_run_with_a_checkpoint(run: RunFolder, train: Train, why: str) -> None:
    events = train(until_stopped)
    for event in events:
        if event.step == 7 and event.name == "step":
            if why == "closed":
                events.close()
            else:
                signal.raise_signal(getattr(signal, why))
            if why == "SIGHUP":
                signal.raise_signal(signal.SIGHUP)  # the shell sends it again
    *_, asked, last = read_events(run.events_path)
    assert (asked, last.name) == (Controlled(step=8, time=asked.time, id=why, command="stop"), "finished")
    assert run.status().state == "stopped"
    assert load_state(run)[0] is not None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # and all is as it was


def test_second_signal_interrupts(run: RunFolder, train: Train) -> None:
    def deaf(trainer: Any) -> Iterator[Event]:
        yield started()
        signal.raise_signal(signal.SIGINT)
        yield stepped(1)
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("still there")

    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        list(train(deaf))
    assert (run.status().state, run.status().message) == ("stopped", INTERRUPTED)
    liveness.acquire_lock(run.lock_path, patience=0).release()


def test_worker_whose_log_is_another_saves_its_state_and_stops(run: RunFolder, train: Train) -> None:
    """tests/torture/kill_worker.py also moves, replaces and deletes folders in the middle of checkpoints."""

    def script(trainer: Any) -> Iterator[Event]:
        for event in until_stopped(trainer):
            yield event
            if event.step == 7 and event.name == "step":
                run.events_path.rename(run.path / "aside")
                run.events_path.touch()

    says = "its event log was removed while it trained; resume it"
    with pytest.raises(RunError, match=f"ended: {says}"):
        list(train(script))
    assert (run.status().state, run.status().message) == ("stopped", says)
    assert load_state(run)[0] is not None


def test_second_worker_is_refused_first_goes_on(run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(liveness.acquire_lock.__kwdefaults__, "patience", 0.05)

    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        assert worker.main([str(run.path)]) == 1
        assert run.status().state == "running"
        yield ended(1)

    assert len(list(train(script))) == 2
    assert run.status().state == "finished"


@pytest.mark.parametrize("error", [SettingsError("lr takes a number"), ZeroDivisionError("by\nzero")])
def test_failure_is_one_sentence_in_log_and_status(run: RunFolder, train: Train, error: Exception) -> None:
    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        yield stepped(3)
        raise error

    *_, last = train(script)
    assert (last.name, last.step, last.message) == ("failed", 3, describe_failure(error, run.spec().settings))
    assert (run.status().state, run.status().message) == ("failed", last.message)
    assert ("Traceback" in run.log_path.read_text()) == (not isinstance(error, SettingsError))
    assert list(read_events(run.events_path))[-1] == last


@pytest.mark.parametrize(("reason", "state"), [("done", "finished"), ("diverged", "failed"), ("stopped", None)])
def test_program_of_on_end_is_called_once_and_without_the_lock(
    run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch, reason: str, state: str | None
) -> None:
    def call_on_end(run: RunFolder) -> str:
        liveness.acquire_lock(run.lock_path, patience=0).release()
        told.append(run.status().state)
        return "The program ended with exit code 3"

    told: list[str] = []
    monkeypatch.setattr(on_end, "call_on_end", call_on_end)
    finish(train, reason)
    assert run.log_path.read_text().endswith("The program ended with exit code 3\n") == (state is not None)
    assert run.status().message.endswith("The program ended with exit code 3") == (state is not None)
    monkeypatch.setattr(liveness, "acquire_lock", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises((KeyboardInterrupt, RunError)):  # a resume that ends before it began
        list(worker.run_foreground(run))
    assert told == [state] * (state is not None)


def command(run: RunFolder, word: str) -> None:
    run.control_path.write_text(f'{{"id":"x","command":"{word}","value":null}}\n')


def make_room(run: RunFolder) -> None:
    """At its second call, so that the worker reads a command while it waits."""
    if run.control_path.exists():
        storage.disk = storage.Disk()
    command(run, "checkpoint")


@pytest.mark.parametrize(
    ("act", "names"),
    [
        (make_room, ["started", "step", "finished"]),
        (lambda run: signal.raise_signal(signal.SIGTERM), ["started"]),
        (lambda run: command(run, "stop"), ["started"]),
    ],
    ids=["space", "signal", "command"],
)
def test_worker_waits_while_the_disk_is_full_and_takes_commands_meanwhile(
    run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch, act: Callable[[RunFolder], object], names: list[str]
) -> None:
    waited, update = [], worker.Heartbeat.update

    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        storage.disk = FaultyDisk(0, only=frozenset({"write"}), again=True)
        yield stepped(1)
        assert [each.command for each in trainer.hooks.commands()] == ["checkpoint"]
        yield ended(2)

    def note_waiting(self: worker.Heartbeat, **changes: Any) -> None:
        update(self, **changes)
        if changes.get("state") == "waiting":
            waited.append(self.record.message)

    monkeypatch.setattr(worker.Heartbeat, "update", note_waiting)
    monkeypatch.setattr(worker.time, "sleep", lambda seconds: act(run))
    with use_disk(storage.Disk()):
        events = list(train(script))
    assert [event.name for event in events] == names
    assert list(read_events(run.events_path)) == events  # each once
    assert "No space left" in waited[0]


def test_stop_command_ends_the_trainers_wait_for_a_full_disk(run: RunFolder, train: Train) -> None:
    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        send_command(run, "stop")
        assert [command.command for command in trainer.hooks.commands()] == ["stop"]
        assert list(trainer.hooks.commands()) == []
        raise OSError(errno.ENOSPC, "No space left on device")  # as a trainer that waits for a checkpoint to be written

    assert [event.name for event in train(script)] == ["started"]
    assert run.status().state == "stopped"
    assert "No space left" in run.status().message
    assert "Traceback" not in run.log_path.read_text()


def test_resume_applies_changes_and_knows_how_far_the_log_is(run: RunFolder, train: Train, made: list[Any]) -> None:
    finish(train, "stopped")
    events = train(resumed, changes={"max_steps": 200, "seed": 0})
    assert [event.name for event in events] == ["resumed", "finished"]
    assert (made[1].state.step, made[1].logged_until, made[1].settings.max_steps) == (2, 2, 200)
    assert run.spec().settings.max_steps == 200


def test_run_of_0_3_gets_its_text_when_it_is_resumed(run: RunFolder, train: Train) -> None:
    finish(train, "stopped")
    text, spec = run.text_path.read_bytes(), run.spec()
    kept = {name: value for name, value in spec.corpus.items() if name not in ("vocabulary", "counts")}
    run.write_spec(replace(spec, corpus=kept))
    run.text_path.unlink()
    assert [event.name for event in train(resumed)] == ["resumed", "finished"]
    assert (run.text_path.read_bytes(), run.spec()) == (text, spec)


def finish(train: Train, reason: str = "done") -> list[Event]:
    """Train the run to its end, with a checkpoint. Returns the events."""

    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        trainer.store.save_state(state(2))
        yield ended(2, reason)

    return list(train(script))


def test_worker_that_trains_lets_others_go_first(run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside two busy processes a start with the niceness of training took five times as long."""
    niceness: list[int] = []
    monkeypatch.setattr(system, "lower_priority", niceness.append)

    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        yield validated(0, 4.5)
        assert not niceness
        yield stepped(5)
        assert niceness == [BACKGROUND_NICENESS]
        yield ended(5, "done")

    train(script)
    assert worker.main([str(run.path)]) == 0
    assert niceness == [BACKGROUND_NICENESS]


def test_resume_that_is_refused_changes_nothing(run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    before, spec = finish(train), run.spec()

    def refuse(*_: Any, **__: Any) -> None:
        raise SettingsError("max_minutes ends it")

    monkeypatch.setattr(sys.modules["charlstm.engine.trainer"], "Trainer", SimpleNamespace(resume=refuse))
    with pytest.raises(RunError, match="max_minutes ends it"):
        list(worker.run_foreground(run, changes={"max_steps": 200}))
    assert list(read_events(run.events_path)) == before
    assert (run.status().state, run.status().message) == ("finished", "max_minutes ends it")
    assert run.spec().settings == spec.settings


@pytest.mark.parametrize(
    ("ending", "signals", "state", "message"),
    [
        ("done", 1, "finished", STOPPED_READING),
        ("patience", 2, "finished", "a resume was interrupted before it began"),
        ("stopped", 1, "stopped", STOPPED_READING),
        ("diverged", 2, "stopped", INTERRUPTED),
    ],
)
def test_resume_that_is_interrupted_before_it_begins_leaves_a_finished_run_finished(
    run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch, ending: str, signals: int, state: str, message: str
) -> None:
    """A run that was finished became one that was stopped, so that "more minutes" added to its whole limit."""
    before, step = finish(train, ending), run.status().step

    def interrupted(run: RunFolder, *, progress: Callable[[ReadProgress], None]) -> None:
        for _ in range(signals):
            signal.raise_signal(signal.SIGINT)
        progress(ReadProgress(1, 3, "reading"))

    monkeypatch.setattr(worker, "open_text", interrupted)
    with pytest.raises(KeyboardInterrupt, match="SIGINT"):
        next(worker.run_foreground(run, changes={"max_steps": 200}))
    assert list(read_events(run.events_path)) == before
    assert (run.status().state, run.status().step, run.status().message) == (state, step, message)


def test_stop_command_ends_reading_of_the_text(run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's key and `control RUN stop` write one; the worker read on, loaded torch and measured first."""

    def stopped(*_: Any, progress: Callable[[ReadProgress], None], **__: Any) -> None:
        progress(ReadProgress(0, 3, "reading"))
        send_command(run, "stop")
        progress(ReadProgress(1, 3, "reading"))

    monkeypatch.setattr(corpus, "open_corpus", stopped)
    assert list(train(until_stopped)) == []
    assert (run.status().state, run.status().message) == ("stopped", STOPPED_READING)


@pytest.mark.parametrize(("finished", "state_after"), [(False, "failed"), (True, "finished")])
def test_worker_that_ends_before_its_own_heartbeat_says_why(
    run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch, finished: bool, state_after: str
) -> None:
    """It was reported as killed for lack of memory."""
    if finished:
        finish(train)
    liveness.write_heartbeat(run.heartbeat_path, HeartbeatRecord(state="starting"))  # by ``launch``
    have_no_locks(monkeypatch)
    assert worker.main([str(run.path)]) == 1
    status = run.status()
    assert (status.state, status.alive) == (state_after, False)
    assert status.message.endswith("has no locks: keep runs in a folder on another one")


def test_resume_uses_the_checkpoint_before_a_damaged_one(run: RunFolder, train: Train, made: list[Any]) -> None:
    save_states(run, 10, 20)
    run.state_path.write_bytes(run.state_path.read_bytes()[:-1])
    [warned] = [event.message for event in train(resumed) if event.name == "warning"]
    assert made[0].state.step == 10
    assert warned == "The last checkpoint is damaged; training continues from the one before it, at step 10"
    assert load_state(run)[1] is None  # which the next checkpoint keeps, and not the damaged one


def test_command_that_a_killed_worker_had_not_read_is_named_once_and_not_obeyed(run: RunFolder, train: Train) -> None:
    storage.append_line(run.control_path, b'{"id":"one","command":"finish","value":null,"time":1}')

    def script(trainer: Any) -> Iterator[Event]:
        yield started()
        assert trainer.hooks.commands() == []
        yield ended(30, "stopped")

    events = list(train(script))
    assert [event.name for event in events] == ["started", "warning", "finished"]
    assert events[1].message == "Not carried out, because the process that trained died before it read them: finish"
    assert [event.name for event in worker.run_foreground(run)] == ["started", "finished"]


def test_temporary_files_of_a_killed_worker_are_removed(run: RunFolder, train: Train) -> None:
    run.snapshots_dir.mkdir()
    names = (".model.safetensors.123.tmp", ".text.bin.12.tmp", "snapshots/.50.safetensors.12.345.tmp")
    in_use = (".notes.json.12.345.tmp", ".mine.onnx.12.345.tmp")  # by other programs
    for name in names + in_use:
        (run.path / name).write_bytes(b"half")
    finish(train)
    assert tuple(name for name in names + in_use if (run.path / name).exists()) == in_use


def test_final_validation_is_in_the_status(run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "Heartbeat", partial(worker.Heartbeat, interval=0.02))

    def script(trainer: Any) -> Iterator[Event]:
        # 600 characters to validate at 1.2 times the speed of training, 100 characters a step: five steps
        yield started(planned_steps=10, train_chars=1000, steps_per_epoch=10, val_chars=600)
        yield stepped(10)
        trainer.hooks.validation_progress(0.4)
        status: Any = wait_until(lambda: (now := run.status()).validated and now)
        # "left 0:03" stood there for 40 s: the pace of the steps says little of it
        assert (status.validated, status.percent, status.seconds_left) == (0.4, 80, None)
        yield ended(10)

    shown: list[tuple[float, float | None]] = []
    list(train(script, show_validation=lambda *args: shown.append(args)))
    assert shown == [(0.4, None)]
    assert (run.status().validated, run.status().percent) == (None, 100)


@pytest.mark.parametrize(("why", "goes_on"), [("SIGINT", True), ("SIGTERM", False)])
def test_worker_leaves_the_queue_and_starts_the_next_run_unless_the_machine_shuts_down(
    run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch, why: str, goes_on: bool
) -> None:
    following = launch.create_new_run(launch.NewRun(run.spec().corpus, Settings(max_steps=1), runs_dir=run.path.parent))
    started_runs: list[RunFolder] = []
    monkeypatch.setattr(launch, "launch", started_runs.append)
    queue.add_run(run)
    queue.add_run(following)

    def script(trainer: Any) -> Iterator[Event]:
        assert [each.path for each in queue_file.waiting_runs()] == [following.path]
        signal.raise_signal(getattr(signal, why))
        yield started()
        yield ended(1, "stopped")

    list(train(script))
    assert (run.status().state, started_runs) == ("stopped", [following] * goes_on)


def test_worker_logs_trouble_with_the_queue(run: RunFolder, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(run: Path) -> None:
        raise RunError("The queue cannot be changed: No space left on device")

    queue.add_run(run)
    monkeypatch.setattr(queue_file, "remove_from_queue", refuse)
    monkeypatch.setattr(launch, "launch", lambda run: pytest.fail("it would start itself again"))
    events = train(lambda trainer: iter([started(), ended(1)]))
    assert [event.name for event in events] == ["started", "finished"]
    assert run.log_path.read_text().count("The queue cannot be changed") == 2


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "Memory ran out: reduce batch_size (it is 32), seq_length (64) or hidden_size (512)"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "Memory ran out"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "Memory ran out"),
        (RuntimeError("could not create a memory object"), "Memory ran out"),
        (RuntimeError("std::bad_alloc"), "Memory ran out"),
        (RuntimeError("can't start new thread"), "Memory ran out"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "Memory ran out"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Memory ran out"),
        (OSError(errno.ENOSPC, "No space left", "/x"), "The disk could not be used: No space left (/x)"),
        (ImportError("No module named 'torch'"), "The program has a bug"),
        (RuntimeError("shapes do not fit"), "The program has a bug"),
        (ValueError("out of memory"), "The program has a bug"),
        (ZeroDivisionError("by\nzero"), "The program has a bug (ZeroDivisionError: by zero): worker.log"),
        (SettingsError("lr takes a number"), "lr takes a number"),
    ],
)
def test_failure_is_described_in_one_sentence(error: Exception, says: str) -> None:
    assert describe_failure(error, Settings()).startswith(says)


def test_load_state_skips_only_a_damaged_checkpoint(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    save_states(run, 7, 8)

    def fail(*_: Any) -> None:
        raise UnreadableFileError("The state cannot be read now", "disk")

    for name, value, says in (
        ("FORMAT", 0, "newer charlstm; update"), ("FORMAT", 9, "before 1.0; start a new run"),
        ("read_tensors", fail, "move the file away"),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(exact, name, value)
            with pytest.raises(RunError, match=says):
                load_state(run)
    for path in (run.state_path, run.previous_state_path):
        path.write_bytes(b"junk")
    with pytest.raises(RunError, match="No checkpoint"):
        load_state(run)
