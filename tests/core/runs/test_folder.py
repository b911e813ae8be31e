import contextlib
import os
import re
import shutil
import stat
import sys
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from charlstm import storage
from charlstm.errors import ModelError, RunError
from charlstm.runs import folder, index, liveness
from charlstm.runs.folder import RunFolder, RunSpec, create_run, delete_run, find_run, known_runs, list_runs, prune_run
from charlstm.runs.liveness import HeartbeatRecord, RunLock, acquire_lock
from charlstm.runs.names import check_name, next_name
from charlstm.training.settings import Settings
from faulty_disk import FaultyDisk, use_disk
from recorded_run import record


def spec(text: str = "novel.txt") -> RunSpec:
    return RunSpec(corpus={"name": text, "sources": [f"/texts/{text}"]}, settings=Settings(epochs=1), preset="quick")


def test_runs_dir_is_the_requested_or_usual(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARLSTM_DATA", "")  # an empty variable is one that is not set
    if sys.platform == "linux":
        assert folder.runs_dir() == own_home / ".local" / "share" / "charlstm" / "runs"
    (tmp_path / "checkpoints").mkdir()
    assert folder.runs_dir() == tmp_path / "checkpoints"
    monkeypatch.setenv("CHARLSTM_RUNS", "elsewhere")
    assert folder.runs_dir() == tmp_path / "elsewhere"
    assert folder.runs_dir("asked") == tmp_path / "asked"
    assert folder.runs_dir(".") == tmp_path
    monkeypatch.setenv("CHARLSTM_RUNS", "")
    assert folder.runs_dir() == tmp_path / "checkpoints"
    with pytest.raises(RunError, match="is empty"):
        folder.runs_dir("")


def test_runs_dir_is_the_usual_one_where_the_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app could not read its runs any more."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    usual = folder.runs_dir()
    gone.rmdir()
    assert folder.runs_dir() == usual


def test_create_run_names_it_text_preset_number_and_makes_it_private(tmp_path: Path) -> None:
    names = [create_run(spec(), folder=tmp_path).name for _ in range(3)]
    assert names == ["novel-quick-1", "novel-quick-2", "novel-quick-3"]
    delete_run(RunFolder(tmp_path / "novel-quick-1"))
    assert create_run(spec(), folder=tmp_path).name == "novel-quick-4"  # a number is not given twice
    assert stat.S_IMODE((tmp_path / "novel-quick-2").stat().st_mode) == 0o700
    assert create_run(spec("../Ein Buch: 红楼梦/etc.txt"), folder=tmp_path).path.parent == tmp_path


def test_next_name_is_free_where_the_file_system_ignores_the_case() -> None:
    """A folder that cannot be made because its name is taken was tried again and again."""
    assert next_name("novel.txt", "quick", ["Novel-quick-1"]) == "novel-quick-2"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "damaged"),
        (b'{"format": 99}', "newer"),
        (b'{"format": 1, "created": 0, "corpus": {}, "settings": {"hidden_size": -1}}', "damaged"),
        (b'{"format": 1, "created": 0, "corpus": {}, "settings": {"no_such": 1}}', "before 1.0 .setting no_such"),
    ],
)
def test_damaged_spec_is_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    run = create_run(spec(), folder=tmp_path)
    liveness.write_heartbeat(run.heartbeat_path, HeartbeatRecord(state="stopped"))  # what else shows that it is a run
    run.spec_path.write_bytes(content)
    with pytest.raises(RunError, match=says) as caught:
        run.spec()
    assert "\n" not in str(caught.value)
    assert run in list_runs(tmp_path)  # it is still listed, so that it can be deleted
    assert run.status().state == "stopped"


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../x", "a/b", "a\\b", "/etc", "-rf", "~root", "a\0b", "a\x1b[2J", "x" * 101, "é" * 101, "nul",
     "CON.txt", "a.", "a ", "demo", "m.safetensors", "a\u202eb", "a:b", "a\nb"],
)  # fmt: skip
def test_check_name_refuses_invalid_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="cannot be a run's name"):
        check_name(name)
    with pytest.raises(RunError):
        create_run(spec(), name=name, folder=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


NFC, NFD = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize(("first", "second"), [(NFC, NFD), (NFD, NFC)])
def test_composed_and_decomposed_accents_are_one_name(tmp_path: Path, first: str, second: str) -> None:
    run, other = (create_run(spec(), name=name, folder=tmp_path) for name in (first, "other"))
    assert run.name == NFC
    for taking in (partial(create_run, spec(), folder=tmp_path), partial(folder.rename_run, other)):
        with pytest.raises(RunError, match="There is a run"):
            taking(name=second)
    assert find_run(second, tmp_path) == find_run(first, tmp_path) == run
    assert sorted(os.listdir(tmp_path)) == [NFC, "other"]


def test_find_run_by_name_by_folder_and_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = create_run(spec(), name="here", folder=tmp_path / "a")
    there = create_run(spec(), name="there", folder=tmp_path / "b")
    assert find_run("here", "a") == here
    assert find_run(str(there.path), "a") == find_run("b/there") == find_run("there", "a") == there
    assert list_runs("a") == [here]
    assert list_runs("a", elsewhere=True) == [here, there]
    for name, place, says in (
        ("hree", "a", "did you mean here"),
        ("ther", "a", f"did you mean {re.escape(str(there.path))}"),
        ("nothing", "a", "the runs there are here$"),  # and not those elsewhere
        ("nothing", "empty", "no other in .*: train one"),
        *((no_run, "a", None) for no_run in ("", ".", "..", "../a", "a")),
    ):
        with pytest.raises(RunError, match=says):
            find_run(name, place)


def test_run_that_is_named_from_a_folder_in_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(spec(), name="mine", folder=tmp_path)
    run.sessions_dir.mkdir()
    (run.sessions_dir / "auto-1.json").touch()
    monkeypatch.chdir(run.sessions_dir)
    assert find_run("..") == find_run("../../mine/sessions/..") == run
    assert (delete_run(find_run("..")), run.path.exists()) == ([], False)


def test_list_runs_sorts_numbers_by_value(tmp_path: Path) -> None:
    for name in ("x-10", "x-9", "a", "X-1"):
        create_run(spec(), name=name, folder=tmp_path)
    (tmp_path / "not a run").mkdir()
    (tmp_path / ".hidden").mkdir()
    assert [run.name for run in list_runs(tmp_path)] == ["a", "X-1", "x-9", "x-10"]
    assert list_runs(tmp_path / "nothing") == []


def test_rename_run_refuses_names_and_a_run_that_is_gone(tmp_path: Path) -> None:
    run = create_run(spec(), name="old", folder=tmp_path)
    create_run(spec(), name="taken", folder=tmp_path)
    for name, says in (("taken", "taken already"), ("../out", "cannot be a run's name")):
        with pytest.raises(RunError, match=says):
            folder.rename_run(run, name)
    assert folder.rename_run(run, "new").exists()
    with pytest.raises(RunError, match="any more"):
        folder.rename_run(run, "again")


@pytest.mark.parametrize("spelled", ["sub/../runs", "link"])
def test_run_is_known_by_one_path_however_its_folder_is_spelled(tmp_path: Path, spelled: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "link").symlink_to("runs")
    run = create_run(spec(), name="one", folder=tmp_path / spelled)
    assert known_runs() == [RunFolder(tmp_path / "runs" / "one")]
    assert list_runs(tmp_path / spelled, elsewhere=True) == [run]
    assert len(list_runs(tmp_path / "runs", elsewhere=True)) == 1
    assert [folder.rename_run(RunFolder(tmp_path / "runs" / "one"), "two")] == known_runs()
    three = folder.rename_run(RunFolder(tmp_path / spelled / "two"), "three")
    assert known_runs() == [RunFolder(tmp_path / "runs" / "three")]
    delete_run(three)
    assert index.remembered_paths() == []


def test_index_keeps_the_latest_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_RUNS", 3)
    for number in range(5):
        create_run(spec(), name=f"{number}", folder=tmp_path)
    assert [path.name for path in index.remembered_paths()] == ["2", "3", "4"]
    assert [run.name for run in known_runs()] == ["4", "3", "2"]


@pytest.mark.parametrize("at", range(9))  # the folder's name, then write, sync and rename of the text and of run.json
def test_create_run_that_fails_leaves_its_name_free(tmp_path: Path, at: int) -> None:
    def keep_text(run: RunFolder) -> dict[str, Any]:
        storage.replace_bytes(run.text_path, b"text")
        return spec().corpus

    with use_disk(FaultyDisk(at)), pytest.raises(RunError, match=r"No run can be created in .*No space left"):
        create_run(spec(), name="novel", folder=tmp_path, prepare=keep_text)
    assert list(tmp_path.iterdir()) == []
    create_run(spec(), name="novel", folder=tmp_path)


def test_delete_run_leaves_other_files_and_follows_no_link(tmp_path: Path) -> None:
    run = record(tmp_path / "runs", name="doomed", last_words="all is well").run
    for path in (run.control_path, run.lock_path, run.state_path, run.previous_state_path):
        path.touch()
    for name in (".model.safetensors.12.345.tmp", "snapshots/.50.safetensors.12.345.tmp"):
        (run.path / name).write_bytes(b"half")
    precious = [".notes.tmp", "notes.txt", "snapshots/best one.safetensors"]
    for name in precious:
        (run.path / name).write_text("precious")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.json").touch()
    (run.path / "link").symlink_to(elsewhere)
    run.sessions_dir.symlink_to(elsewhere)
    run.model_path.rename(elsewhere / "7.safetensors")
    run.model_path.symlink_to(elsewhere / "7.safetensors")
    left = delete_run(run)
    assert left == [".notes.tmp", "link", "notes.txt", "snapshots"]
    assert "do not belong to the run" in folder.left_over(run, left)
    found = [path for path in run.path.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(run.path)) for path in found) == precious
    assert sorted(os.listdir(elsewhere)) == ["7.safetensors", "a.json"]
    assert list_runs(tmp_path / "runs") == known_runs() == []


@pytest.mark.parametrize("content", ["[1]", "{", '{"format": 1, "settings": {}}', '"format"'])
def test_folder_with_the_run_json_of_another_program_is_not_a_run(tmp_path: Path, content: str) -> None:
    project = tmp_path / "runs" / "project"
    project.mkdir(parents=True)
    (project / "run.json").write_text(content)
    (project / "mine.txt").write_text("precious")
    index.remember_run(project)
    assert not RunFolder(project).exists()
    assert list_runs(tmp_path / "runs", elsewhere=True) == known_runs() == []
    for word in (str(project), "project"):
        with pytest.raises(RunError, match=r"its run\.json is not from this program|There is no run"):
            find_run(word, tmp_path / "runs")
    for attempt in (lambda: delete_run(RunFolder(project)), lambda: folder.rename_run(RunFolder(project), "other")):
        with pytest.raises(RunError, match="There is no run in"):
            attempt()
    with pytest.raises(RunError, match="something else called project already: choose another name"):
        create_run(spec(), name="project", folder=tmp_path / "runs")
    assert sorted(os.listdir(project)) == ["mine.txt", "run.json"]


def test_run_of_a_model_and_of_a_session_is_known_by_their_folder(tmp_path: Path) -> None:
    run = create_run(spec(), name="mine", folder=tmp_path)
    snapshot, session = run.snapshots_dir / "7.safetensors", run.sessions_dir / "a.json"
    assert folder.run_of_model(run.model_path) == folder.run_of_model(snapshot) == folder.run_of_session(session) == run
    for elsewhere in (tmp_path, run.path / "other", tmp_path / "snapshots"):
        assert folder.run_of_model(elsewhere / "a.safetensors") is None
    for elsewhere in (run.path, run.path / "other", tmp_path / "sessions"):
        assert folder.run_of_session(elsewhere / "a.json") is None


def test_link_to_a_run_is_neither_deleted_nor_pruned(tmp_path: Path) -> None:
    run = record(tmp_path / "a").run
    (tmp_path / "link").symlink_to(run.path)
    before = sorted(run.path.rglob("*"))
    for remove, says in ((delete_run, "is a link"), (prune_run, "is a link to a run elsewhere: prune .* instead")):
        with pytest.raises(RunError, match=says):
            remove(RunFolder(tmp_path / "link"))
    assert sorted(run.path.rglob("*")) == before


def test_prune_run_follows_no_link_and_leaves_what_is_no_part(tmp_path: Path) -> None:
    run = record(tmp_path / "runs").run
    elsewhere = tmp_path / "elsewhere"
    run.snapshots_dir.rename(elsewhere)
    run.snapshots_dir.symlink_to(elsewhere)
    (elsewhere / "state").write_text("precious")
    run.state_path.symlink_to(elsewhere / "state")
    run.previous_state_path.mkdir()
    before = sorted(os.listdir(elsewhere))
    assert sorted(run.prunable()) == [run.snapshots_dir, run.state_path]
    assert prune_run(run) == 0
    assert sorted(os.listdir(elsewhere)) == before
    left = [os.path.lexists(path) for path in (run.snapshots_dir, run.state_path, run.previous_state_path)]
    assert left == [False, False, True]
    run.sessions_dir.write_text("precious")  # no folder
    assert delete_run(run) == ["sessions", "state.prev.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "one bit", "gone", "link to a snapshot"])
def test_prune_run_refuses_a_run_without_an_intact_model_of_its_own(tmp_path: Path, damage: str) -> None:
    run = record(tmp_path).run
    content = bytearray(run.model_path.read_bytes())
    content[-1] ^= 1
    run.model_path.unlink()
    if damage == "link to a snapshot":
        run.model_path.symlink_to(Path("snapshots", run.snapshots()[-1].path.name))
    elif damage != "gone":
        run.model_path.write_bytes(content if damage == "one bit" else content[:-9])
    before = run.prunable()
    for dry_run in (True, False):
        with pytest.raises(RunError, match=r"is not pruned, because .*: (resume it, or copy|replace the link)"):
            prune_run(run, dry_run=dry_run)
    assert (run.prunable(), run.pruned_path.exists()) == (before, False)


def test_run_whose_run_json_cannot_be_read_now_is_neither_found_nor_taken_for_gone(tmp_path: Path) -> None:
    run = record(tmp_path, name="mine").run
    before = sorted(run.path.rglob("*"))
    run.spec_path.unlink()
    run.spec_path.symlink_to("run.json")  # the superuser, too, gets an error at it
    attempts = (delete_run, prune_run, partial(folder.rename_run, name="other"))
    for attempt in (*attempts, lambda run: find_run("mine", tmp_path), lambda run: find_run(run.path)):
        with pytest.raises(RunError, match="cannot be read now: Too many levels"):
            attempt(run)
    assert (sorted(run.path.rglob("*")), list_runs(tmp_path)) == (before, [])


@pytest.mark.parametrize("command", [delete_run, prune_run])
def test_partly_removed_run_is_found_and_removed(tmp_path: Path, command: Callable[[RunFolder], object]) -> None:
    made = record(tmp_path / "whole").run
    made.state_path.touch()
    with use_disk(counting := FaultyDisk()):
        command(RunFolder(shutil.copytree(made.path, tmp_path / "counted")))
    refused = 0
    for at in range(counting.calls):
        run = RunFolder(shutil.copytree(made.path, tmp_path / f"run-{at}"))
        with use_disk(FaultyDisk(at, again=True)), contextlib.suppress(RunError):
            command(run)
            continue
        if not run.exists():  # at the end of delete_run
            assert set(os.listdir(run.path)) <= {"lock"}
            continue
        if command is prune_run:
            assert run.model()
            assert run.state_path.exists() or run.pruned_path.exists()
        command(run)
        assert run.prunable() == []
        refused += 1
    assert refused >= 7


@pytest.mark.parametrize("command", [delete_run, prune_run, partial(folder.rename_run, name="other")])
def test_command_that_waits_for_a_run_while_another_deletes_it_leaves_no_folder(
    tmp_path: Path, command: Callable[[RunFolder], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record(tmp_path).run

    def delete_and_acquire(path: Path, patience: float) -> RunLock:
        shutil.rmtree(run.path)
        run.path.mkdir()  # as filelock does
        return acquire_lock(path, patience=patience)

    monkeypatch.setattr(liveness, "acquire_lock", delete_and_acquire)
    with pytest.raises(RunError, match=r"There is no run in .* any more"):
        command(run)
    assert os.listdir(tmp_path) == []


def test_run_with_a_worker_is_not_renamed_deleted_or_pruned(tmp_path: Path) -> None:
    with record(tmp_path, "running") as recorded:
        run = recorded.run
        for _ in range(2):  # with its lock, and without
            for attempt in (partial(folder.rename_run, name="other"), delete_run, partial(prune_run, dry_run=True)):
                with pytest.raises(RunError, match="is being trained"):
                    attempt(run)
            run.lock_path.unlink(missing_ok=True)
        assert run.status().state == "running"


def test_snapshots_are_sorted_and_other_files_ignored_and_kept(tmp_path: Path) -> None:
    run = record(tmp_path).run
    others = ["99.safetensors", "notes.safetensors", "²5.safetensors"]
    for name in others[1:]:
        (run.snapshots_dir / name).write_bytes(b"")
    assert [snapshot.step for snapshot in run.snapshots()] == [0, 50, 100, 200, 400, 700, 1000]
    best = run.model().info["step"]
    assert run.model(best).info["step"] == best
    with pytest.raises(ModelError, match=rf"no snapshot of step 12345; it has 0, .*its best model is of step {best}$"):
        run.model(12345)
    (run.snapshots_dir / others[0]).mkdir()
    assert prune_run(run) > 0
    assert sorted(os.listdir(run.snapshots_dir)) == others
