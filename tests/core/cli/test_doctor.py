"""`charlstm doctor` and `charlstm compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charlstm.cli.main import run
from charlstm.memory import Memory
from command_line import TINY, Cli

pytestmark = pytest.mark.usefixtures("workspace")


def doctor(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    code = run(["doctor", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_doctor_shows_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = doctor(capsys)
    sections = result["sections"]
    assert isinstance(sections, dict)
    assert list(sections) == ["program", "machine", "terminal", "training", "folders", "configuration"]
    assert sections["training"]["device"] == "cpu" or "cuda" in sections["training"]["device"]
    assert code == (1 if result["problems"] else 0)


def test_doctor_names_what_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("mouse = 1\n")
    monkeypatch.setenv("CHARLSTM_CONFIG", str(config))
    monkeypatch.setenv("TERM", "dumb")
    code, result = doctor(capsys)
    assert code == 1
    problems = " ".join(result["problems"])  # type: ignore[arg-type]
    assert "line 1" in problems
    assert "TERM is dumb" in problems
    assert run(["doctor"]) == 1
    assert "✗ " in capsys.readouterr().out


def test_busy_moment_is_a_note_and_nothing_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that checks a new machine by the exit code was told that something was wrong while it was busy."""
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0, 1000.0, 1000.0), raising=False)
    monkeypatch.setattr("charlstm.memory.machine_memory", lambda: Memory(total=8 << 30, available=1 << 20))
    monkeypatch.setattr("charlstm.cli.doctor._terminal", lambda problems: {})  # which may be too small here
    monkeypatch.setattr("charlstm.cli.doctor.LOW_SPACE", 0)
    code, result = doctor(capsys)
    assert result["problems"] == []
    assert code == 0
    notes = " ".join(result["notes"])  # type: ignore[arg-type]
    assert "Other programs keep the processor busy" in notes
    assert "Less than 1 GB of memory is free" in notes
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "Note: Less than 1 GB" in out
    assert "Nothing is wrong." in out


def test_compare_lists_what_differs_and_writes_files(cli: Cli, tmp_path: Path) -> None:
    cli("train", "data/fox.txt", *TINY, "--set", "lr=0.01", "--name", "fox-2")
    result = cli.json("compare", "fox", "fox-2")
    assert [row["name"] for row in result["runs"]] == ["fox", "fox-2"]
    assert "lr" in [row["name"] for row in result["differences"]]
    out, _ = cli("compare", "fox", "fox-2", "--svg", str(tmp_path / "a.svg"), "--csv", str(tmp_path / "a.csv"))
    assert "fox-2" in out
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    assert (tmp_path / "a.csv").read_text().startswith("run,curve,step")
    assert cli("compare", "fox", "--csv", "-")[0].startswith("run,curve")
