"""The commands sweep and prune."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from charlstm.cli.sweep import SweepView
from charlstm.config import load_config
from charlstm.paths import config_path
from charlstm.runs import notifications, queue
from charlstm.runs.folder import Run, find_run
from charlstm.runs.notes import read_notes
from charlstm.runs.sweep import Sweep, Trial
from charlstm.training.presets import preset
from command_line import TINY, Cli
from waiting import wait_until

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("workspace")]
GRID = ("data/fox.txt", "--grid", "lr=1e-3,1e-2", "hidden_size=4,8")
SMALL = [*TINY[2:], "--max-steps", "40"]


def files(run: Run) -> set[str]:
    return {path.name for path in run.path.iterdir()}


def test_sweep_trains_every_combination_and_keeps_only_the_best_whole(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(notifications, "call_on_end", lambda run: ended.append(run.name) or "")
        patch.setattr(queue, "start_next", lambda: ended.append("queue"))
        result = cli.json("sweep", *GRID, *SMALL, "--name", "all", "--out", "all.svg")
    assert [row["settings"]["hidden_size"] for row in result["runs"]] == [4, 8, 4, 8]
    losses = {row["name"]: row["best_loss"] for row in result["runs"]}
    assert result["best"] == min(losses, key=lambda name: losses[name])
    assert ended == [result["best"], "queue"]  # once, not after each run
    assert Path("all.svg").read_text().startswith("<svg")
    for row in result["runs"]:
        run = find_run(row["path"])
        assert (row["state"], row["step"]) == ("finished", 40)
        assert read_notes(run).tags == ("sweep:all",)
        assert {"model.safetensors", "events.jsonl", "text.bin"} <= files(run)
        assert ("state.safetensors" in files(run)) == ("snapshots" in files(run)) == (row["name"] == result["best"])
    names = [row["name"] for row in cli.json("runs", "--tag", "sweep:all")]
    assert names == [f"all-{number}" for number in range(1, 5)] == list(losses)
    out, err = cli("sweep", "--resume", "all")
    assert result["preset"] in out
    assert re.search(r"^ ★ +\d +0\.01 ", out, re.MULTILINE)
    assert f"The best is {result['best']}" in err
    config_path().parent.mkdir(parents=True, exist_ok=True)
    config_path().write_text(result["preset"])
    assert load_config()[1] == ()
    assert "There is no file nowhere.txt" in cli.error("train", "nowhere.txt", "--preset", "all")  # but that preset
    best = find_run(next(row["path"] for row in result["runs"] if row["name"] == result["best"]))
    assert preset("all", 5000, 30).with_changes(val_fraction=0.1) == best.spec().settings.with_changes(val_fraction=0.1)
    config_path().unlink()
    folder = best.path.parent
    assert [row["name"] for row in cli.json("delete", "all", "--yes")] == names
    assert not folder.exists()


def test_run_that_halving_leaves_ends_like_one_that_is_trained_at_once(cli: Cli) -> None:
    halved = cli.json("sweep", *GRID, *SMALL, "--halving", "--name", "halved")
    assert sorted(row["step"] for row in halved["runs"]) == [5, 5, 10, 40]
    [best] = [row for row in halved["runs"] if row["name"] == halved["best"]]
    cli("train", "--like", best["path"], "--name", "whole")
    assert best["best_loss"] == find_run("whole").status().loss


def test_sweep_that_was_killed_continues_where_it_was(workspace: Path, cli: Cli) -> None:
    """Killed while its second run trains: the first is not trained again, and the second goes on."""
    words = ["sweep", *GRID[:2], "hidden_size=4,8", *SMALL, "--max-steps", "300"]
    words += ["--set", "checkpoint_steps=50", "--name", "killed"]
    worker = subprocess.Popen([sys.executable, "-m", "charlstm.cli.main", *words], stderr=subprocess.DEVNULL)
    first, second = (Run(workspace / "runs" / "killed" / f"killed-{number}") for number in (1, 2))
    wait_until(lambda: second.state_path.exists() or worker.poll() is not None)
    assert worker.poll() is None
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    before, began = first.events_path.read_bytes(), second.path.stat().st_ino
    result = cli.json("sweep", "--resume", "killed")
    assert [row["step"] for row in result["runs"]] == [300] * 2
    assert first.events_path.read_bytes() == before
    names = [json.loads(line)["event"] for line in second.events_path.read_text().splitlines()]
    assert (names.count("started"), names.count("resumed")) == (1, 1)
    assert second.path.stat().st_ino == began


def test_a_sweep_stops_with_its_run(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, began = set(), list[str]()

    def interrupt(_: SweepView, number: int, trials: list[Trial]) -> None:
        seen.add(number)
        if trials[number].points and trials[number].points[-1][0] == 0.5:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SweepView, "show", interrupt)
    monkeypatch.setattr(queue, "start_next", lambda: began.append("queue"))
    _, err = cli("sweep", *GRID, *SMALL, "--set", "val_every=20", "--name", "stopped", code=130)
    assert "charlstm sweep --resume stopped" in err
    assert (seen, began) == ({0}, ["queue"])


def test_minutes_are_shared_by_the_runs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sweep, "train", lambda *_: iter(()))
    for name, words, minutes in (("m1", (), 2.5), ("m2", ("--halving",), 6.67)):  # halving trains 1.5 of 4 runs
        cli("sweep", *GRID, "--minutes", "10", "--name", name, *words)
        assert Sweep.named(name, None).spec.settings.max_minutes == minutes


def test_prune_says_what_it_frees_and_frees_it_with_yes(cli: Cli) -> None:
    cli("train", "data/fox.txt", *TINY, "--name", "pruned")
    run = find_run("pruned")
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
