"""Presets, statistics of texts, the losses of runs and the watching of them, the cache, the doctor."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from charlstm.cli.main import run
from charlstm.line import TerminalLine
from charlstm.memory import Memory
from charlstm.model.file import ModelConfig
from charlstm.text.cache import entries
from charlstm.training.ending import divergence_message
from charlstm.training.estimate import START_SECONDS
from charlstm.training.events import Finished
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
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training reads 20,000 characters a second, and no other program is in its way."""

    def measure(settings: Settings, vocab_size: int, device: object, rows: int, length: int) -> MeasuredSpeed:
        return MeasuredSpeed("fused-f32", rows * length / 20_000, rows * length)

    monkeypatch.setattr("charlstm.engine.benchmark.measure", measure)
    monkeypatch.setattr("charlstm.cli.training.probe_slowdown", lambda niceness: 1.0)


def test_presets_estimates_each_preset_for_a_text(cli: Cli, known_speed: None) -> None:
    rows = cli.json("presets", "data/fox.txt", "--set", "num_layers=3")
    assert [row["name"] for row in rows] == list(PRESETS)
    for row in rows:
        settings = preset(row["name"], len(TEXT), len(set(TEXT))).with_changes(num_layers=3)
        assert Settings.from_dict(row["settings"]) == settings
        assert row["chars_per_second"] == pytest.approx(20_000)
        assert (row["kernel"], row["precision"]) == ("fused-f32", "float32")
    assert re.search(r"^PRESET +START +NETWORK", cli("presets", "data/fox.txt")[0])
    Path("other.txt").write_text(TEXT[:500])  # to validate on it: then all of the text is trained on
    ask = ("presets", "data/fox.txt", "--set", "max_minutes=none", "--set", "epochs=40", "--set", "split=tail")
    ask += ("--from", "none")
    for before, after in zip(cli.json(*ask), cli.json(*ask, "--val-file", "other.txt"), strict=True):
        assert after["steps"] > before["steps"]
        assert after["settings"] == before["settings"]


def test_presets_count_the_characters_of_text_and_model(cli: Cli, known_speed: None) -> None:
    """A run that starts from a model knows the characters of both."""
    Path("greek.txt").write_text("αβγδ " * 400, encoding="utf-8")
    of_model = cli.json("info", "fox")
    quick, *_ = cli.json("presets", "greek.txt", "--from", "fox")
    both = ModelConfig(of_model["vocab_size"] + 4, of_model["hidden_size"], of_model["num_layers"])
    assert quick["parameters"] == both.parameters


def test_presets_scale_with_other_programs(cli: Cli, monkeypatch: pytest.MonkeyPatch, known_speed: None) -> None:
    """15,910 characters a second were promised where 287 were reached."""
    asked = ("presets", "data/fox.txt", "--from", "none")
    for slowdown, speed in ((1.0, 20_000), (1.2, 20_000), (1.4, 20_000 / 1.4), (8.0, 2_500)):
        monkeypatch.setattr("charlstm.cli.training.probe_slowdown", lambda niceness, found=slowdown: found)
        quick, *_, reference = cli.json(*asked, "--set", "batch_size=32")
        assert quick["chars_per_second"] == pytest.approx(speed)
        assert quick["seconds"] == pytest.approx(60, rel=0.15)
        if slowdown == 1.0:
            alone = reference["seconds"]
    assert reference["seconds"] - START_SECONDS > 5 * (alone - START_SECONDS)
    assert "The processor has other work too: training will be many times slower." in cli(*asked)[1]


def test_stats_says_that_an_encoding_is_a_guess_and_how_to_leave_a_licence_out(cli: Cli) -> None:
    licence = "\n*** END OF THE PROJECT GUTENBERG EBOOK NOTHING ***\nLicence\n"
    Path("latin.txt").write_bytes(f"It was a naïve idea.\n{licence}".encode("latin-1"))
    out, _ = cli("stats", "latin.txt", "--no-strip-boilerplate")
    assert "read as    cp1252 (a guess, --encoding names another)" in out
    assert "characters; --strip-boilerplate leaves it out\n" in out
    assert "(a guess)" not in cli("stats", "latin.txt", "--encoding", "cp1250")[0]


def test_best_loss_of_unfinished_runs_is_marked_as_estimate(tmp_path: Path, cli: Cli) -> None:
    for state in ("crashed", "finished", "stopped"):
        record(tmp_path, state, name=state)
    rows = cli.json("runs", "--runs-dir", str(tmp_path))
    assert [row["best_kind"] for row in rows] == ["estimate", "whole", "estimate"]
    out, err = cli("runs", "--runs-dir", str(tmp_path))
    for row, mark, line in zip(rows, ("~", "", "~"), out.splitlines()[1:], strict=True):
        assert f" {mark}{row['loss']:.3f} " in line
    assert err.startswith("~ is an estimate from slices")
    for state, said in (("stopped", ("validation loss ~", "; best ~", "Best ~")), ("finished", ("; best 1", "Best 1"))):
        err = cli("watch", state, "--plain", "--runs-dir", str(tmp_path))[1]
        assert all(words in err for words in said)


def test_watch_prints_the_verdict_when_it_changes(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with record(tmp_path, "running", name="live", steps=100) as recorded:
        doings = iter([lambda: recorded.advance(50), lambda: recorded.end("crashed")])
        monkeypatch.setattr("charlstm.cli.runs.time", SimpleNamespace(sleep=lambda _: next(doings)()))
        lines = cli("watch", "live", "--plain", "--runs-dir", str(tmp_path))[1].splitlines()
    assert re.search(r"^step +5 of 1,000  loss \d\.\d+ · best ~\d\.\d+ · ", "\n".join(lines), re.M)
    said = [line for line in lines if not line.startswith("step ")][2:]
    assert [line.partition(":")[0] for line in said] == ["Still learning", "Still learning", "Crashed"]
    assert said[0] != said[1]
    assert cli("watch", "fox", "--plain")[1].splitlines()[-1].startswith("Finished after ")
    assert "Finished after" not in "".join(cli("watch", "fox", "--json"))


def test_terminal_rings_at_the_end_of_a_run_that_was_watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def rung(*words: str) -> str:
        monkeypatch.setattr(sys, "stderr", Terminal())
        assert run(words) == 0
        return "".join(re.findall("(?:\x1b]9;[^\a]*)?\a", sys.stderr.getvalue()))

    (tmp_path / "config.toml").write_text('notify = "bell"\n')
    place = ("--runs-dir", str(tmp_path))
    monkeypatch.setattr(TerminalLine, "INTERVAL", 0.0)
    with record(tmp_path, "waiting", name="live", steps=1200, planned=1300, message="the disk is full") as recorded:
        monkeypatch.setattr("charlstm.cli.runs.time", SimpleNamespace(sleep=lambda _: recorded.end("finished")))
        assert rung("watch", "live", *place) == "\x1b]9;charlstm: live has finished: loss 1.427\a\a"
    assert "waiting: the disk is full" in sys.stderr.getvalue()
    assert rung("watch", "live", *place) == ""
    monkeypatch.setattr("charlstm.runs.on_end.SHORTEST", 0.0)
    monkeypatch.setenv("CHARLSTM_CONFIG", str(tmp_path / "config.toml"))
    assert rung("train", "data/fox.txt", *TINY) == "\a"


def test_watch_says_once_that_a_run_diverged_and_why_a_resume_or_a_run_failed(tmp_path: Path, cli: Cli) -> None:
    place = ("--runs-dir", str(tmp_path))
    with record(tmp_path, "running", name="away", steps=40) as recorded:
        recorded.append(Finished(step=40, reason="diverged", loss=1.8, best_step=20, train_seconds=2.0))
        recorded.beat("failed", divergence_message(40))
        assert cli("watch", "away", "--plain", *place)[1].splitlines()[-1].startswith("Diverged at step 40: ")
        recorded.beat("failed", "the disk is full")
    assert cli("watch", "away", "--plain", *place)[1].splitlines()[-1] == "away (failed): the disk is full"
    assert "the disk is full" in cli("runs", *place)[0]
    record(tmp_path, "failed", name="lost")
    assert "step    400  failed: The graphics card ran out of" in cli("watch", "lost", "--plain", *place)[1]


def test_cache_prune_empties_the_cache(cli: Cli) -> None:
    assert entries()
    assert cli.json("cache", "prune")["freed"] > 0
    assert not entries()


def test_charlstm_without_arguments_prints_help(cli: Cli) -> None:
    assert cli()[0] == cli("--help")[0]


def test_doctor_names_what_is_wrong(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('mouse = 1\ntheme = "nord"\n[keys]\n"train.pause" = "p"\n[presets.small]\nhidden_size = 64\n')
    monkeypatch.setenv("CHARLSTM_CONFIG", str(config))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("charlstm.cli.doctor._training", lambda problems: {})
    result = json.loads(cli("doctor", "--json", code=1)[0])
    expected = {"file": str(config), "theme": '"nord"', "keys": "train.pause", "presets": "small"}
    assert result["sections"]["configuration"].items() >= expected.items()
    assert "mouse" not in result["sections"]["configuration"]
    problems = " ".join(result["problems"])
    assert "line 1" in problems
    assert "TERM is dumb" in problems
    assert "✗ " in cli("doctor", code=1)[0]


def test_doctor_shows_every_section_and_a_busy_moment_as_a_note(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that checks a new machine by the exit code was told that something was wrong while it was busy."""
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0, 1000.0, 1000.0), raising=False)
    monkeypatch.setattr("charlstm.memory.machine_memory", lambda: Memory(total=8 << 30, available=1 << 20))
    monkeypatch.setattr("charlstm.cli.doctor._terminal", lambda problems: {})  # which may be too small here
    monkeypatch.setattr("charlstm.cli.doctor.LOW_SPACE", 0)
    monkeypatch.setattr("charlstm.cli.doctor.check_import_of_torch", lambda: None)  # a process of its own, for seconds
    result = cli.json("doctor")
    sections = result["sections"]
    assert list(sections) == ["program", "machine", "terminal", "training", "folders", "configuration"]
    assert sections["training"]["device"] == "cpu" or "cuda" in sections["training"]["device"]
    assert result["problems"] == []
    notes = " ".join(result["notes"])
    assert "Other programs keep the processor busy" in notes
    assert "Less than 1 GB of memory is free" in notes
    assert "Note: Less than 1 GB" in cli("doctor")[0]


def test_doctor_names_the_colours_of_the_terminal_also_in_a_pipe(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.cli.doctor._training", lambda problems: {})
    assert cli.json("doctor")["sections"]["terminal"]["colours"] == "truecolor"
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli.json("doctor")["sections"]["terminal"]["colours"] == "none"
