"""`charlstm doctor` and `charlstm compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charlstm.memory import Memory
from command_line import TINY, Cli

pytestmark = pytest.mark.usefixtures("workspace")


def test_doctor_names_what_is_wrong(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("mouse = 1\n")
    monkeypatch.setenv("CHARLSTM_CONFIG", str(config))
    monkeypatch.setenv("TERM", "dumb")
    problems = " ".join(json.loads(cli("doctor", "--json", code=1)[0])["problems"])
    assert "line 1" in problems
    assert "TERM is dumb" in problems
    assert "✗ " in cli("doctor", code=1)[0]


def test_doctor_shows_every_section_and_a_busy_moment_as_a_note(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that checks a new machine by the exit code was told that something was wrong while it was busy."""
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0, 1000.0, 1000.0), raising=False)
    monkeypatch.setattr("charlstm.memory.machine_memory", lambda: Memory(total=8 << 30, available=1 << 20))
    monkeypatch.setattr("charlstm.cli.doctor._terminal", lambda problems: {})  # which may be too small here
    monkeypatch.setattr("charlstm.cli.doctor.LOW_SPACE", 0)
    result = cli.json("doctor")
    sections = result["sections"]
    assert list(sections) == ["program", "machine", "terminal", "training", "folders", "configuration"]
    assert sections["training"]["device"] == "cpu" or "cuda" in sections["training"]["device"]
    assert result["problems"] == []
    notes = " ".join(result["notes"])
    assert "Other programs keep the processor busy" in notes
    assert "Less than 1 GB of memory is free" in notes
    out = cli("doctor")[0]
    assert "Note: Less than 1 GB" in out
    assert "Nothing is wrong." in out


def test_doctor_names_the_colours_of_the_terminal_also_in_a_pipe(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.cli.doctor._training", lambda problems: {})
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli.json("doctor")["sections"]["terminal"]["colours"] == "truecolor"
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli.json("doctor")["sections"]["terminal"]["colours"] == "none"


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
