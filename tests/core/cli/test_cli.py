"""The command line: results on stdout, one sentence of error on stderr, exit codes."""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyte
import pytest

from charlstm.cli.main import run
from charlstm.cli.training_view import EventView
from charlstm.line import TerminalLine
from charlstm.model.file import ModelConfig
from charlstm.runs import liveness
from charlstm.runs.folder import Run
from charlstm.training.ending import divergence_message
from charlstm.training.estimate import START_SECONDS
from charlstm.training.events import Controlled, Failed, Finished, Paused, Resumed, Started, Warned
from charlstm.training.plan import MeasuredSpeed
from charlstm.training.presets import PRESETS, preset
from charlstm.training.settings import Settings
from command_line import TEXT, TINY, Cli, Terminal
from recorded_run import record

pytestmark = pytest.mark.usefixtures("workspace")


def test_corpora_lists_own_and_built_in_texts(cli: Cli) -> None:
    names = [row["name"] for row in cli.json("corpora")]
    assert names[0] == "data/fox.txt"
    assert "python-reference" in names


@pytest.fixture
def free_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other program is in the way of the presets."""
    monkeypatch.setattr("charlstm.cli.training.probe_slowdown", lambda niceness: 1.0)


@pytest.mark.usefixtures("free_processor")
def test_presets_estimates_each_preset_for_a_text(workspace: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(settings: Settings, vocab_size: int, device: object, rows: int, length: int) -> MeasuredSpeed:
        return MeasuredSpeed("fused-f32", rows * length / 20_000, rows * length)

    monkeypatch.setattr("charlstm.engine.benchmark.measure", measure)
    rows = cli.json("presets", "data/fox.txt", "--set", "num_layers=3")
    assert [row["name"] for row in rows] == list(PRESETS)
    for row in rows:
        settings = preset(row["name"], len(TEXT), len(set(TEXT))).with_changes(num_layers=3)
        assert Settings.from_dict(row["settings"]) == settings
        assert row["chars_per_second"] == pytest.approx(20_000)
        assert (row["kernel"], row["precision"]) == ("fused-f32", "float32")
    assert [row["name"] for row in cli.json("presets")] == list(PRESETS)
    printed = cli("presets", "data/fox.txt")[0]
    assert "20,000" in printed
    assert re.search(r"^PRESET +START +NETWORK", printed)
    Path("other.txt").write_text(TEXT[:500])  # to validate on it: then all of the text is trained on
    ask = ("presets", "data/fox.txt", "--set", "max_minutes=none", "--set", "epochs=40", "--set", "split=tail")
    ask += ("--from", "none")
    for before, after in zip(cli.json(*ask), cli.json(*ask, "--val-file", "other.txt"), strict=True):
        assert after["steps"] > before["steps"]
        assert after["settings"] == before["settings"]


@pytest.mark.usefixtures("free_processor")
def test_presets_count_the_characters_of_text_and_model(
    workspace: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that starts from a model knows the characters of both."""
    monkeypatch.setattr("charlstm.engine.benchmark.measure", lambda *_: MeasuredSpeed("fused-f32", 0.1, 2_000))
    Path("greek.txt").write_text("αβγδ " * 400, encoding="utf-8")
    of_model = cli.json("info", "fox")
    quick, *_ = cli.json("presets", "greek.txt", "--from", "fox")
    both = ModelConfig(of_model["vocab_size"] + 4, of_model["hidden_size"], of_model["num_layers"])
    assert quick["parameters"] == both.parameters


def test_presets_scale_with_what_other_programs_take(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """15,910 characters a second were promised where 287 were reached."""
    asked, measured = ("presets", "data/fox.txt", "--from", "none"), MeasuredSpeed("fused-f32", 0.1, 2_000)
    monkeypatch.setattr("charlstm.engine.benchmark.measure", lambda *_: measured)
    for slowdown, speed in ((1.0, 20_000), (1.2, 20_000), (8.0, 2_500)):
        monkeypatch.setattr("charlstm.cli.training.probe_slowdown", lambda niceness, found=slowdown: found)
        quick, *_, reference = cli.json(*asked, "--set", "batch_size=32")
        assert quick["chars_per_second"] == pytest.approx(speed)
        assert quick["seconds"] == pytest.approx(60, rel=0.15)
        if slowdown == 1.0:
            alone = reference["seconds"]
    assert reference["seconds"] - START_SECONDS > 5 * (alone - START_SECONDS)
    assert "The processor has other work too: training will be many times slower." in cli(*asked)[1]


def test_stats_shows_a_line_in_the_guessed_encoding_and_in_others(cli: Cli) -> None:
    Path("latin.txt").write_bytes("It was a naïve idea.\n".encode("latin-1") * 3)
    out, _ = cli("stats", "latin.txt")
    assert "read as    cp1252 (a guess)" in out
    assert "--encoding cp1252      It was a naïve idea." in out
    assert out.count("--encoding") == 3
    assert "(a guess)" not in cli("stats", "latin.txt", "--encoding", "cp1250")[0]
    assert "(a guess)" not in cli("stats", "data/fox.txt")[0]


def test_stats_counts_what_was_read_and_says_what_was_done(workspace: Path, cli: Cli) -> None:
    licence = "\n*** END OF THE PROJECT GUTENBERG EBOOK NOTHING ***\nLicence\n"
    (workspace / "book.txt").write_text("abcdefghij" + "\u00a0\u00ad" * 1000 + licence, encoding="utf-8")
    assert cli.json("stats", "book.txt", "--max-chars", "5")["chars"] == 5
    assert cli.json("stats", "book.txt")["cleanable"] == {"\u00a0": 1000, "\u00ad": 1000}
    out, _ = cli("stats", "book.txt")
    assert "× 1,000; --clean replaces it\n" in out
    assert "characters; it is left out, --no-strip-boilerplate keeps it\n" in out
    out, _ = cli("stats", "book.txt", "--clean", "--no-strip-boilerplate")
    assert "× 1,000; was replaced\n" in out
    assert "characters; --strip-boilerplate leaves it out\n" in out


def test_best_loss_of_unfinished_runs_is_marked_as_estimate(tmp_path: Path, cli: Cli) -> None:
    with ExitStack() as runs:
        for state in ("running", "stopped", "crashed", "finished"):
            runs.enter_context(record(tmp_path, state, name=state))
        rows = {row["name"]: row for row in cli.json("runs", "--runs-dir", str(tmp_path))}
        assert {name: row["best_kind"] for name, row in rows.items()} == {
            "running": "estimate",
            "stopped": "estimate",
            "crashed": "estimate",
            "finished": "whole",
        }
        out, err = cli("runs", "--runs-dir", str(tmp_path))
        for line in out.splitlines()[1:]:
            name = line.split()[0]
            assert (f" ~{rows[name]['best_loss']:.4f} " in line) == (name != "finished")
            assert f"{rows[name]['best_loss']:.4f}" in line
        assert err.startswith("~ is an estimate from slices")
        err = cli("watch", "stopped", "--plain", "--runs-dir", str(tmp_path))[1]
        assert "validation loss ~" in err
        assert "; best ~" in err
        assert "Best ~" in err
        err = cli("watch", "finished", "--plain", "--runs-dir", str(tmp_path))[1]
        assert "all held-out characters 1" in err
        assert "; best 1" in err
        assert "Best 1" in err


def test_watch_prints_the_verdict_when_it_changes(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with record(tmp_path, "running", name="live", steps=100) as recorded:
        doings = iter([lambda: recorded.advance(50), lambda: recorded.end("crashed")])
        monkeypatch.setattr("charlstm.cli.runs.time", SimpleNamespace(sleep=lambda _: next(doings)()))
        lines = cli("watch", "live", "--plain", "--runs-dir", str(tmp_path))[1].splitlines()
    assert [line for line in lines if not line.startswith("step ")][2:] == [
        "Still learning: validation fell 13 % in the last 2 s. No overfitting.",
        "Still learning: validation fell 12 % in the last 2 s. No overfitting.",
        "Crashed: Its worker was killed; resume it, or if memory ran out start a new run with a smaller batch or "
        "network. Best ~2.71 nats (3.90 bits) at step 150, kept.",
    ]
    ended = cli("watch", "fox", "--plain")[1].splitlines()[-1]
    assert ended.startswith("Finished after ")
    out, err = cli("watch", "fox", "--json")
    assert "Finished after" not in out + err


def test_terminal_rings_at_the_end_of_a_run_that_was_watched(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def rung(*words: str) -> str:
        monkeypatch.setattr(sys, "stderr", Terminal())
        assert run(words) == 0
        return "".join(re.findall("(?:\x1b]9;[^\a]*)?\a", sys.stderr.getvalue()))  # type: ignore[attr-defined]

    place = ("--runs-dir", str(tmp_path))
    with record(tmp_path, "running", name="live", steps=1200, planned=1300) as recorded:
        monkeypatch.setattr("charlstm.cli.runs.time", SimpleNamespace(sleep=lambda _: recorded.end("finished")))
        assert rung("watch", "live", *place) == "\x1b]9;charlstm: live has finished: loss 1.4267\a\a"
    assert rung("watch", "live", *place) == ""
    monkeypatch.setattr("charlstm.runs.notifications.SHORTEST", 0.0)
    assert rung("train", str(workspace / "data/fox.txt"), *TINY, *place).startswith("\x1b]9;charlstm: fox-")
    (tmp_path / "config.toml").write_text('notify = "off"\n')
    monkeypatch.setenv("CHARLSTM_CONFIG", str(tmp_path / "config.toml"))
    assert rung("train", str(workspace / "data/fox.txt"), *TINY, *place) == ""


def test_watch_says_once_that_a_run_diverged_and_why_a_resume_failed(tmp_path: Path, cli: Cli) -> None:
    with record(tmp_path, "running", name="away", steps=40) as recorded:
        recorded.append(
            Finished(step=40, reason="diverged", best_val=1.8, best_step=20, train_seconds=2.0, best_whole=True)
        )
        recorded.beat("failed", divergence_message(40))
    place = ("--runs-dir", str(tmp_path))
    assert cli("watch", "away", "--plain", *place)[1].splitlines()[-1].startswith("Diverged at step 40: ")
    beat = liveness.read_heartbeat(recorded.run.heartbeat_path)
    assert beat is not None
    liveness.write_heartbeat(recorded.run.heartbeat_path, replace(beat, message="the disk is full"))
    assert cli("watch", "away", "--plain", *place)[1].splitlines()[-1] == "away (failed): the disk is full"
    assert "the disk is full" in cli("runs", *place)[0]


def test_control_characters_of_a_log_are_made_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    foul = "\x1b[2Jgone"
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(TerminalLine, "INTERVAL", 0.0)
    sizes = {"planned_steps": 9, "steps_per_epoch": 9, "parameters": 9, "train_chars": 9, "val_chars": 9, "threads": 1}
    events = [
        Started(step=0, device=foul, kernel=foul, **sizes),
        Warned(step=1, message=foul),
        Paused(step=1, reason=foul),
        Resumed(step=1, changes=foul, inexact=foul),
        Controlled(step=1, id="1", command=foul),
        Finished(step=2, reason=foul, best_val=None, best_step=0, train_seconds=1.0),
        Failed(step=2, message=foul),
    ]
    with EventView(Run(Path("x"))) as view:
        view.show(events)
        view.show_waiting(f"waiting: {foul}")
    assert "\x1b[2J" not in terminal.getvalue()
    assert terminal.getvalue().count("␛[2Jgone") == 10


def test_cache_prune_empties_the_cache(cli: Cli) -> None:
    assert cli.json("cache")["texts"] > 0
    assert cli.json("cache", "prune")["freed"] > 0
    assert cli.json("cache")["texts"] == 0


def test_charlstm_without_arguments_prints_help(cli: Cli) -> None:
    assert cli()[0] == cli("--help")[0]


def test_status_line_clears_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = pyte.Screen(40, 5)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("charlstm.line.terminal_width", lambda _: 40)
    line = TerminalLine()
    line.INTERVAL = 0.0
    line.draw(0.5, "half of it")
    pyte.Stream(screen).feed(terminal.getvalue())
    assert screen.display[0].startswith("██████████░░░░░░░░░░  50%  half of it")
    for words in ("far more than could ever fit on a line of forty cells", "红楼梦" * 20):
        line.draw(0.9, words)
    terminal.write("^C")  # printed by the terminal
    line.clear()
    terminal.write("done")
    screen.reset()
    pyte.Stream(screen).feed(terminal.getvalue())
    assert [row.rstrip() for row in screen.display] == ["done", "", "", "", ""]
