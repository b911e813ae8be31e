"""The help of all commands has one form."""

from __future__ import annotations

import click
import pytest

from command_line import Cli, all_commands

WITHOUT_JSON = {"play"}
"""A conversation."""


COMMANDS = dict(all_commands())


def options_of(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_json_is_printed(name: str) -> None:
    has_json = any("--json" in option.opts for option in options_of(COMMANDS[name]))
    assert has_json == (name not in WITHOUT_JSON)
    assert ("With --json: " in " ".join((COMMANDS[name].help or "").split())) == has_json


def test_help_of_a_group_has_a_whole_line_for_each_command(cli: Cli) -> None:
    for words in ((), ("config",)):
        commands = cli(*words, "--help")[0].split("Commands:\n")[1].split("\n\n")[0]
        assert "..." not in commands
