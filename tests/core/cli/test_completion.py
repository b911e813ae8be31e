"""Shell completion."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest

from charlstm.cli.main import cli
from charlstm.cli.options import complete_model, complete_run, complete_text
from charlstm.setting_fields import setting_fields
from charlstm.training.settings import Settings
from command_line import all_commands

pytestmark = pytest.mark.usefixtures("workspace")


def test_runs_and_texts_are_completed() -> None:
    context = click.Context(cli)
    parameter = click.Argument(["model"])
    assert [each.value for each in complete_run(context, parameter, "fo")] == ["fox"]
    assert [each.value for each in complete_model(context, parameter, "fo")] == ["fox"]
    assert [each.type for each in complete_model(context, parameter, "da")] == ["file"]
    assert "python-reference" in [each.value for each in complete_text(context, parameter, "py")]
    assert [each.type for each in complete_text(context, parameter, "da")] == ["file"]


def test_only_names_that_no_shell_acts_on_are_completed(workspace: Path) -> None:
    name = "$(touch X) 'b'"
    shutil.copytree(workspace / "runs" / "fox", workspace / "runs" / name)
    found = [each.value for each in complete_run(click.Context(cli), click.Argument(["run"]), "")]
    assert "fox" in found
    assert name not in found


def test_settings_are_completed_with_their_descriptions() -> None:
    command = dict(all_commands())["train"]
    context = click.Context(command)
    [option] = [each for each in command.params if each.name == "assignments"]
    found = option.shell_complete(context, "hidden")
    assert [(each.value, each.help) for each in found] == [
        ("hidden_size=", setting_fields(Settings)["hidden_size"].about)
    ]
    assert [each.value for each in option.shell_complete(context, "split=b")] == ["split=blocks"]
    assert option.shell_complete(context, "nothing=") == []
