"""The commands sweep and prune."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.config import load_config
from charlstm.paths import config_path
from charlstm.runs import liveness, queue
from charlstm.runs.folder import RunFolder, find_run
from charlstm.runs.liveness import HeartbeatRecord, acquire_lock
from charlstm.runs.notes import read_notes
from charlstm.training.presets import preset
from command_line import TINY, Cli
from queued_runs import waiting
from recorded_run import record

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("workspace")]
GRID = ("data/fox.txt", "--grid", "lr=1e-3,1e-2", "hidden_size=4,8")
SMALL = [*TINY[2:], "--max-steps", "40"]


@pytest.fixture(autouse=True)
def no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of the queue are resumed by the tests."""
    monkeypatch.setattr(queue, "start_next", lambda: None)


@pytest.fixture(autouse=True)
def config() -> Path:
    """The user's configuration, which is not there."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def files(run: RunFolder) -> set[str]:
    return {path.name for path in run.path.iterdir()}


def finish(name: str, loss: float) -> RunFolder:
    """Let a run have finished with ``loss``."""
    run = find_run(name)
    liveness.write_heartbeat(run.heartbeat_path, HeartbeatRecord(state="finished", loss=loss))
    return run


def test_sweep_queues_every_combination_and_shows_the_best_that_has_finished(cli: Cli, config: Path) -> None:
    result = cli.json("sweep", *GRID, *SMALL, "--name", "all")
    names = [f"all-{number}" for number in range(1, 5)]
    assert [row["name"] for row in result["runs"]] == [row["name"] for row in cli.json("runs", "--tag", "sweep:all")]
    assert waiting()[-4:] == names
    combinations = [{"hidden_size": size, "lr": rate} for rate in (1e-3, 1e-2) for size in (4, 8)]
    assert [row["settings"] for row in result["runs"]] == combinations
    assert {(row["state"], row["loss"]) for row in result["runs"]} == {("queued", None)}
    assert (result["best"], result["preset"]) == (None, None)
    assert "all.svg was not drawn" in cli.error("sweep", "--show", "all", "--out", "all.svg")
    for name, loss in zip(names[1:], (2.0, 1.75, 1.5), strict=True):
        assert read_notes(finish(name, loss)).tags == ("sweep:all",)
    result = cli.json("sweep", "--show", "all", "--out", "all.svg")
    assert (result["best"], [row["loss"] for row in result["runs"]]) == ("all-4", [None, 2.0, 1.75, 1.5])
    assert Path("all.svg").read_text().startswith("<svg")
    out, err = cli("sweep", "--show", "all")
    assert result["preset"] in out
    assert re.search(r"^★ +all-4 .* 0\.01 ", out, re.MULTILINE)
    assert "The best is all-4" in err
    assert "The sweep all has 4 runs already" in cli.error("sweep", *GRID, *SMALL, "--name", "all")
    assert [row["name"] for row in cli.json("delete", "all", "--yes")] == names
    assert "There is no run of a sweep all" in cli.error("sweep", "--show", "all")


@pytest.mark.parametrize(
    ("name", "words", "command"),
    [
        ("size", ["--grid", "hidden_size=4,8", *SMALL], []),
        ("nothing", ["--grid", "lr=1e-3,1e-2", *SMALL, "--from", "none"], []),
        ("model", ["--grid", "lr=1e-3,1e-2", *SMALL, "--from", "fox"], ["--from"]),
        ("box", ["--grid", "lr=1e-3,1e-2", "--max-steps", "2", "--from", "demo"], ["--from", "demo"]),
        ("own", ["--grid", "lr=1e-3,1e-2", *SMALL, "--from", "none", "--preset", "as-it-is"], []),
        ("read", ["--grid", "lr=1e-3,1e-2", *SMALL, "--from", "none", "--as-is", "--val-file", "data/fox.txt"],
         ["--no-strip-boilerplate", "--lines", "keep", "--val-file"]),
    ],
)  # fmt: skip
def test_printed_preset_is_of_that_run(cli: Cli, config: Path, name: str, words: list[str], command: list[str]) -> None:
    """A preset lost `--from none`, the limit that `--max-steps` lifts, and how the reference reads a text."""
    config.write_text('[presets.as-it-is]\npreset = "reference"\nhidden_size = 8\nnum_layers = 1\n')
    cli("sweep", "data/fox.txt", *words, "--name", name)
    best = finish(f"{name}-2", 2.0).spec()
    again = re.search(r"same run again: charlstm train (.*)", cli("sweep", "--show", name)[1])
    config.write_text(cli.json("sweep", "--show", name)["preset"])
    assert load_config()[1] == ()
    assert again
    asked = shlex.split(again[1])
    assert asked[3 : 3 + len(command)] == command
    assert bool(asked[3:]) == bool(command)
    cli("queue", "add", *asked, "--name", f"{name}-again")
    added = find_run(f"{name}-again").spec()
    assert (added.settings, added.lineage, added.corpus) == (best.settings, best.lineage, best.corpus)


def test_command_for_the_same_run_names_the_kernel_that_was_measured(cli: Cli) -> None:
    cli("sweep", "data/fox.txt", "--grid", "lr=1e-3,1e-2", "--from", "none", "--max-steps", "2", "--name", "measured")
    best = finish("measured-1", 2.0)
    best.write_spec(replace(best.spec(), plan={"kernel": "fused-f32"}))
    out, err = cli("sweep", "--show", "measured")
    assert "--kernel fused-f32" in err
    assert "hidden_size = " in out, "else it would start from the model in the box"


def test_seeds_are_compared_by_the_mean_loss_of_each_combination(cli: Cli) -> None:
    result = cli.json("sweep", "data/fox.txt", "--grid", "lr=1e-3,1e-2", *SMALL, "--seeds", "2", "--name", "seeds")
    combinations = [{"lr": rate, "seed": seed} for rate in (1e-3, 1e-2) for seed in (0, 1)]
    assert [row["settings"] for row in result["runs"]] == combinations
    for number, loss in enumerate((1.0, 3.0, 1.75, 1.5), 1):
        finish(f"seeds-{number}", loss)
    result = cli.json("sweep", "--show", "seeds")
    assert (result["best"], [cell["mean"] for cell in result["cells"]]) == ("seeds-4", [2.0, 1.625])
    assert "seed = 1" in result["preset"]
    out, _ = cli("sweep", "--show", "seeds")
    assert re.search(r"^★ +0\.01 +2 of 2 +1\.6250 +1\.5000 to 1\.7500$", out, re.MULTILINE)


def test_queue_forgets_a_sweep_by_its_name(cli: Cli) -> None:
    cli("sweep", *GRID, *SMALL, "--name", "gone")
    cli("resume", "gone-1")
    cli("queue", "remove", "gone")
    assert not [name for name in waiting() if name.startswith("gone")]
    assert "does not wait in the queue" in cli.error("queue", "remove", "gone")


def test_minutes_are_shared_by_the_runs(cli: Cli) -> None:
    cli("sweep", *GRID, "--minutes", "10", "--preset", "reference", "--name", "timed")
    settings = find_run("timed-1").spec().settings
    assert (settings.max_minutes, settings.epochs, settings.max_steps) == (2.5, None, None)
    assert preset("reference").epochs


def test_sweep_is_named_after_its_text(cli: Cli) -> None:
    for number in (1, 2):
        assert cli.json("sweep", *GRID, *SMALL)["name"] == f"fox-sweep-{number}"


def test_prune_says_what_it_frees_and_frees_it_with_yes(cli: Cli) -> None:
    run = record(Path("runs"), name="pruned").run
    lock = acquire_lock(run.lock_path)
    assert "is being trained" in cli("prune", "pruned", "--yes", code=1)[1]
    lock.release()
    before, model = files(run), run.model_path.read_bytes()
    [row] = [row for row in cli.json("prune") if row["name"] == "pruned"]
    size = run.size()
    assert files(run) == before
    assert (row["pruned"], row["files"]) == (False, len(run.prunable()))
    [done] = cli.json("prune", "pruned", "--yes")
    assert done == row | {"pruned": True}
    assert run.size() == size - row["bytes"]
    assert before - files(run) == {"state.safetensors", "state.prev.safetensors", "snapshots"} & before
    assert run.model_path.read_bytes() == model
    assert cli("generate", "pruned", "--length", "3")[0]
    assert "was pruned" in cli("resume", "pruned", "--max-steps", "50", code=1)[1]
    assert cli.json("delete", "pruned", "--yes")["left"] == []
