"""A trainer that keeps its states in a folder, and files with the state of a trainer."""

import contextlib
from pathlib import Path

import pytest

import charlstm
from charlstm.model.file import save_model
from charlstm.runs.folder import RunFolder
from charlstm.runs.store import remove_copies
from faulty_disk import FaultyDisk, use_disk
from recorded_run import record, tiny_model
from small_training import log_of
from trained import CORPUS, PLAN, SETTINGS, assert_same_state, trained


def test_trainer_with_a_folder_store_continues_exactly_in_another_trainer(tmp_path: Path) -> None:
    settings = SETTINGS.with_changes(checkpoint_steps=10)
    whole = trained(settings, sample=None)
    store = charlstm.FolderStore(tmp_path / "deep" / "novel")
    assert store.state() is None
    for event in charlstm.Trainer(CORPUS, settings, plan=PLAN, store=store).events():
        if event.name == "checkpoint" and event.step >= 30:
            break  # as if the process were killed
    later = charlstm.FolderStore(store.path)
    state = later.state()
    assert state.step >= 30
    assert state.settings == settings
    events: list[charlstm.Event] = []
    trainer = charlstm.Trainer.resume(CORPUS, state.settings, state, store=later)
    trainer.train(events.append)
    assert log_of(events) == log_of([event for event in whole.events if event.step > state.step])
    assert later.model().info["step"] == trainer.progress.best_step
    files = {"model.safetensors", "state.safetensors", "state.prev.safetensors", "snapshots"}
    assert {path.name for path in store.path.iterdir()} == files
    (store.path / "state.safetensors").write_bytes(b"damaged")
    before = later.state()
    assert before.step <= 60
    longer = charlstm.Trainer.resume(CORPUS, before.settings.with_changes(max_steps=70), before)
    assert longer.train().step == 70


def test_snapshots_take_two_bytes_a_weight_unless_a_weight_is_too_large(tmp_path: Path) -> None:
    store, model = charlstm.FolderStore(tmp_path / "novel"), tiny_model(hidden_size=64)
    store.save_snapshot(model, 1)
    model.weights["fc.bias"][0] = 1e6
    store.save_snapshot(model, 2)
    half, whole = ((store.path / "snapshots" / f"{step}.safetensors").stat().st_size for step in (1, 2))
    assert half < 0.6 * whole


def test_finished_run_keeps_weights_once_and_its_exact_state_whatever_fails_meanwhile(tmp_path: Path) -> None:
    store = charlstm.FolderStore(tmp_path / "novel")
    charlstm.Trainer(CORPUS, SETTINGS.with_changes(max_steps=20, ema_decay=0.9), store=store).train()
    run, whole, best = RunFolder(store.path), store.state(), store.model()
    save_model(run.snapshots_dir / f"{best.info['step']}.safetensors", best)
    size, at = run.state_path.stat().st_size, 0
    while run.previous_state_path.exists():
        with use_disk(FaultyDisk(at, again=True)), contextlib.suppress(OSError):
            remove_copies(run)
        at += 1
        assert_same_state(store.state(), whole)
    assert run.state_path.stat().st_size < 0.8 * size
    assert run.model_file(best.info["step"]) == run.model_path
    save_model(run.model_path, tiny_model())
    with pytest.raises(charlstm.CharLSTMError, match="put that file back"):
        store.state()


def test_folder_store_refuses_a_new_training_where_another_one_has_trained(tmp_path: Path) -> None:
    """Its network before the first step would replace the trained model and, with the next checkpoint, both states."""
    store, settings = charlstm.FolderStore(tmp_path / "novel"), SETTINGS.with_changes(max_steps=8)
    first = charlstm.Trainer(CORPUS, settings, store=store)
    with contextlib.closing(first.events()) as events:
        next(events)
    first.train()  # another iterator of the same trainer
    saved = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    for again in (store, charlstm.FolderStore(store.path)):
        with pytest.raises(charlstm.CharLSTMError, match=r"has a training already: continue it .*store\.state\(\)"):
            charlstm.Trainer(CORPUS, settings, store=again).train()
        assert {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()} == saved
    longer = settings.with_changes(max_steps=12)
    assert charlstm.Trainer.resume(CORPUS, longer, store.state(), store=store).train().step == 12
    for kept in ("model.safetensors", "state.safetensors"):  # one of them alone, and one that cannot be read
        (tmp_path / kept).mkdir()
        (tmp_path / kept / kept).write_bytes((store.path / kept).read_bytes() if "model" in kept else b"damaged")
        with pytest.raises(charlstm.CharLSTMError, match="has a training already"):
            charlstm.FolderStore(tmp_path / kept).save_plan(PLAN)


def test_state_is_saved_to_a_file_and_loaded(tmp_path: Path) -> None:
    trainer = charlstm.Trainer(CORPUS, SETTINGS, plan=PLAN)
    trainer.stop()
    trainer.train()
    charlstm.save_state(tmp_path / "state.safetensors", trainer.state())
    state = charlstm.load_state(tmp_path / "state.safetensors")
    assert state.settings == SETTINGS
    assert len(repr(state)) < 1000
    assert charlstm.Trainer.resume(CORPUS, SETTINGS, state).train().step == 60
    for wrong in (tmp_path / "no folder" / "state", tmp_path):
        for call in (lambda path: charlstm.save_state(path, state), charlstm.load_state):
            with pytest.raises(charlstm.CharLSTMError):
                call(wrong)
    with pytest.raises(charlstm.CharLSTMError, match="does not say with which settings"):
        charlstm.TrainingState(3, {}, {}).settings  # noqa: B018


def test_folder_store_refuses_what_is_no_folder_of_its_own(tmp_path: Path) -> None:
    run = record(tmp_path, "stopped").run
    with pytest.raises(charlstm.CharLSTMError, match="is the folder of a run"):
        charlstm.FolderStore(run.path)
    (tmp_path / "file").touch()
    with pytest.raises(charlstm.CharLSTMError, match="cannot be used"):
        charlstm.FolderStore(tmp_path / "file")
    with pytest.raises(charlstm.CharLSTMError):
        charlstm.FolderStore(tmp_path / "empty").model()
    assert isinstance(charlstm.FolderStore(tmp_path / "empty"), charlstm.CheckpointStore)
