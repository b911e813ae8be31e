"""A text, settings and a way to run commands that tests of the command line share."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from charlstm.cli.main import cli, run
from charlstm.errors import ExitCode

TEXT = "the quick brown fox jumps over the lazy dog.\n" * 120
TINY = ["--set", "hidden_size=12", "--num-layers", "1", "--batch-size", "4", "--seq-length", "16", "--max-steps", "40"]
TINY += ["--max-minutes", "none", "--threads", "1", "--kernel", "nn"]
"""Options of a training run that takes less than a second."""


def all_commands(group: click.Group = cli, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command, by the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{name} ")
        else:
            yield f"{before}{name}", command


class Terminal(io.StringIO):
    """Output that a program takes for a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


LogEvents = Callable[..., None]
"""Says which events a command that trains logs instead of training."""


class Cli:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> tuple[str, str]:
        """Run a command that must end with ``code``; returns its stdout and stderr."""
        self._capsys.readouterr()
        assert run(list(words)) == code
        captured = self._capsys.readouterr()
        return captured.out, captured.err

    def json(self, *words: str) -> Any:
        """Run a command with --json; returns the parsed result."""
        return json.loads(self(*words, "--json")[0])

    def flat(self, *words: str) -> str:
        """Run a command; returns its stdout on one line, however it was wrapped."""
        return " ".join(self(*words)[0].split())

    def error(self, *words: str) -> str:
        """Run a command that must fail with exit code 1 or 2; returns its error message, one line on stderr."""
        self._capsys.readouterr()
        assert run(list(words)) in (ExitCode.FAILED, ExitCode.WRONG_USAGE)
        out, err = self._capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("charlstm: ")
        return err
