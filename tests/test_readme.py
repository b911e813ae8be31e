"""The README is true: its library lines run, and the commands and options that it shows exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from charlstm.cli.main import cli

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)


def test_the_library_lines_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [lines] = blocks("python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "small.txt").write_text("the quick brown fox jumps over the lazy dog. The end\n" * 400)
    # the same lines on a small text, for a moment only
    lines = lines.replace('open_corpus("python-reference")', 'open_corpus("small.txt")')
    lines = lines.replace("max_minutes=0.5", "max_minutes=None, max_steps=20, hidden_size=16, threads=1")
    exec(compile(lines, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert re.match(r"step 0: \d\.\d{3} nats per character\n", out)
    assert len(out.rpartition("per character\n")[2]) == 200
    assert (tmp_path / "reference.safetensors").is_file()


def shown_commands() -> list[list[str]]:
    lines = [line.partition(" # ")[0] for block in blocks("") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("charlstm ")]


def test_some_commands_are_shown() -> None:
    assert len(shown_commands()) >= 8


@pytest.mark.parametrize("words", shown_commands(), ids=" ".join)
def test_a_command_that_is_shown_exists(words: list[str]) -> None:
    _, name, *arguments = words
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    command.make_context(name, list(arguments))  # raises when an option or an argument does not exist


def test_every_command_of_the_help_is_in_no_stale_form() -> None:
    text = README.read_text(encoding="utf-8")
    named = set(re.findall(r"`?charlstm ([a-z]+)", text)) - {"in"}
    assert named <= set(cli.list_commands(click.Context(cli)))
