"""Unusual names (empty, with spaces, quotes or accents) in suggested commands and folders, and shell completion."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from charlstm.cli.main import cli as all_commands
from charlstm.cli.options import complete_run
from charlstm.errors import RunError, TextError
from charlstm.runs.folder import create_run, find_run, list_runs, rename_run, runs_dir
from charlstm.text.corpus import open_corpus
from charlstm.training.settings import about
from command_line import TINY, Cli


@pytest.fixture
def run_called(workspace: Path) -> Iterator[str]:
    """A copy of the run fox with a name that a shell would split and expand."""
    name = "$(touch X) 'b'"
    shutil.copytree(workspace / "runs" / "fox", workspace / "runs" / name)
    yield name
    shutil.rmtree(workspace / "runs" / name)


def test_only_names_that_no_shell_acts_on_are_completed(run_called: str) -> None:
    found = [each.value for each in complete_run(click.Context(all_commands), click.Argument(["run"]), "")]
    assert "fox" in found
    assert run_called not in found


@pytest.mark.parametrize("name", ["train", "resume", "presets"])
def test_settings_are_completed_with_their_descriptions(name: str) -> None:
    context = click.Context(all_commands)
    command = all_commands.get_command(context, name)
    assert command is not None
    [option] = [each for each in command.params if each.name == "assignments"]
    found = option.shell_complete(click.Context(command), "hidden")
    assert [(each.value, each.help) for each in found] == [("hidden_size=", about("hidden_size"))]
    assert [each.value for each in option.shell_complete(context, "split=b")] == ["split=blocks"]
    assert option.shell_complete(context, "nothing=") == []


def test_empty_name_of_a_folder_or_text_is_an_error(workspace: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(os.listdir(workspace))
    assert "--runs-dir" in cli.error("train", "data/fox.txt", *TINY, "--runs-dir", "")
    assert "--runs-dir" in cli.error("runs", "--runs-dir", "")
    assert "empty" in cli.error("stats", "")
    assert "empty" in cli.error("train", "", *TINY)
    with pytest.raises(RunError, match="is empty"):
        runs_dir("")
    with pytest.raises(TextError, match="empty"):
        open_corpus("")
    assert sorted(os.listdir(workspace)) == before
    assert runs_dir(".") == workspace
    for variable in ("RUNS", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"CHARLSTM_{variable}", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(workspace / "share"))
    assert workspace / "runs" != runs_dir() != workspace  # an empty variable is one that is not set
    assert [run.name for run in list_runs(workspace / "runs") if run.name == "fox"] == ["fox"]


NFC, NFD = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize(("first", "second"), [(NFC, NFD), (NFD, NFC)])
def test_composed_and_decomposed_accents_are_one_name(workspace: Path, tmp_path: Path, first: str, second: str) -> None:
    spec = find_run("fox").spec()
    run = create_run(spec, name=first, folder=tmp_path)
    assert run.name == NFC
    with pytest.raises(RunError, match="There is a run"):
        create_run(spec, name=second, folder=tmp_path)
    other = create_run(spec, name="other", folder=tmp_path)
    with pytest.raises(RunError, match="There is a run"):
        rename_run(other, second)
    assert find_run(second, tmp_path) == find_run(first, tmp_path) == run
    assert os.listdir(tmp_path) == [NFC, "other"] or os.listdir(tmp_path) == ["other", NFC]
