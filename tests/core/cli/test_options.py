"""Options and arguments of all commands: their help, their limits, their completion in a shell."""

import shutil
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem

from charlstm.cli.main import cli
from charlstm.cli.options import complete_model, complete_run, complete_text
from charlstm.setting_fields import setting_fields
from charlstm.training.settings import Settings
from command_line import Cli, all_commands

pytestmark = pytest.mark.usefixtures("workspace")
COMMANDS = dict(all_commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_json_is_printed(name: str) -> None:
    assert any("--json" in each.opts for each in COMMANDS[name].params)
    assert "With --json: " in " ".join((COMMANDS[name].help or "").split())


def test_help_of_a_group_has_a_whole_line_for_each_command(cli: Cli) -> None:
    for words in ((), ("queue",)):
        assert "..." not in cli(*words, "--help")[0].split("Commands:\n")[1].split("\n\n")[0]


LIMITED_BY_WHAT_THEY_COUNT = {
    *("--max-chars", "--fold-rare", "--at"),  # the text
    *("--top", "--per-feature", "--top-k", "--snapshot", "--limit"),  # what there is to show or to choose from
    *("--seed", "--timeout", "VALUE"),  # no counts
}


def test_every_number_has_a_limit_or_is_limited_by_what_it_counts() -> None:
    for command, parameter in ((name, each) for name, found in COMMANDS.items() for each in found.params):
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.human_readable_name
        if isinstance(parameter.type, click.types.IntParamType) and name not in LIMITED_BY_WHAT_THEY_COUNT:
            assert isinstance(parameter.type, click.IntRange), (command, name)
            assert parameter.type.max is not None, (command, name)


def completed(complete: Callable[..., list[CompletionItem]], start: str) -> list[tuple[str, str]]:
    """What completes ``start``, and of which type that is."""
    return [(each.value, each.type) for each in complete(click.Context(cli), click.Argument(["name"]), start)]


def test_runs_and_texts_are_completed() -> None:
    assert completed(complete_run, "fo") == completed(complete_model, "fo") == [("fox", "plain")]
    assert completed(complete_model, "da") == completed(complete_text, "da") == [("da", "file")]
    assert ("python-reference", "plain") in completed(complete_text, "py")


def test_only_names_that_no_shell_acts_on_are_completed(workspace: Path) -> None:
    shutil.copytree(workspace / "runs" / "fox", workspace / "runs" / "$(touch X) 'b'")
    assert completed(complete_run, "") == [("fox", "plain")]


def test_settings_are_completed_with_their_descriptions() -> None:
    command = COMMANDS["train"]
    context = click.Context(command)
    [option] = [each for each in command.params if each.name == "assignments"]
    [found] = option.shell_complete(context, "hidden")
    assert (found.value, found.help) == ("hidden_size=", setting_fields(Settings)["hidden_size"].about)
    assert [each.value for each in option.shell_complete(context, "split=b")] == ["split=blocks"]
    assert option.shell_complete(context, "nothing=") == []
