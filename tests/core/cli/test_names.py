"""Unusual names (empty, with spaces, quotes or accents) in suggested commands and folders, and shell completion."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from charlstm.cli.main import cli
from charlstm.cli.options import complete_run
from charlstm.display import shell_command
from charlstm.errors import RunError, TextError
from charlstm.runs.folder import create_run, find_run, list_runs, rename_run, runs_dir
from charlstm.text.corpus import open_corpus
from charlstm.training.settings import about
from command_line import TINY, ErrorOf, RunCli

NASTY = [
    "a b",
    "$(touch X)",
    "`touch X`",
    "a;touch X",
    "it's",
    "*",
    "a'\"b",
    "~",
    "-x",
    "é",
    "a\nb",
    "\x1b[2J",
    "\u202e",
]


@pytest.fixture
def run_called(workspace: Path) -> Iterator[str]:
    """A copy of the run fox with a name that a shell would split and expand."""
    name = "$(touch X) 'b'"
    shutil.copytree(workspace / "runs" / "fox", workspace / "runs" / name)
    yield name
    shutil.rmtree(workspace / "runs" / name)


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("name", [*NASTY, "\u202e", os.fsdecode(b"a\xff")])
def test_shell_reads_a_suggested_command_as_written(name: str, tmp_path: Path) -> None:
    command = shell_command("resume", name)
    assert command.isprintable()
    line = f'charlstm() {{ printf "%s\\0" "$@"; }}; {command}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, cwd=tmp_path, check=True)
    assert done.stdout == b"resume\0" + os.fsencode(name) + b"\0"
    assert os.listdir(tmp_path) == []


def test_plain_names_are_not_quoted() -> None:
    assert shell_command("watch", "novel-quick-1") == "charlstm watch novel-quick-1"


def suggested(said: str, command: str) -> list[str]:
    """The words of the ``charlstm COMMAND …`` that a message ends with or quotes."""
    start = said.index(f"charlstm {command}")
    return shlex.split(said[start:].partition("`")[0].partition(" --")[0].partition(", or")[0])


def test_suggested_commands_quote_run_names(
    workspace: Path, run_called: str, run_cli: RunCli, error_of: ErrorOf
) -> None:
    name = run_called
    assert suggested(error_of("control", name, "pause"), "resume") == ["charlstm", "resume", name]
    assert suggested(run_cli("resume", name, code=1)[1], "resume") == ["charlstm", "resume", name]
    assert "Next: charlstm generate 'a b'" in run_cli("train", "data/fox.txt", *TINY, "--name", "a b")[1]
    assert "`charlstm resume 'a b'`" in error_of("train", "data/fox.txt", *TINY, "--name", "a b")


def test_suggested_commands_quote_file_names(workspace: Path, run_cli: RunCli, error_of: ErrorOf) -> None:
    run_cli("export", "fox", "--to", "script", "--out", "a $b.net")
    assert suggested(error_of("generate", "a $b.net"), "import") == ["charlstm", "import", "a $b.net"]
    err = run_cli("import", "a $b.net", "--out", "a $b.safetensors")[1]
    assert suggested(err.strip(), "generate") == ["charlstm", "generate", "a $b.safetensors"]
    assert suggested(error_of("import", "a $b.safetensors"), "generate")[2] == "a $b.safetensors"
    assert "--out 'a $b.safetensors'" in error_of("import", "a $b.net", "--out", "a $b.pt")


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(("typed", "around"), [('"\\$(t"', ""), ("'\"$'", '\\"')])
def test_bash_completes_an_unusual_name_as_one_word(typed: str, around: str, workspace: Path, run_called: str) -> None:
    script = (
        'eval "$(_CHARLSTM_COMPLETE=bash_source charlstm)"\n'
        f"COMP_WORDS=(charlstm watch {typed}); COMP_CWORD=2; _charlstm_completion charlstm\n"
        f'echo "${{#COMPREPLY[@]}}"; eval "printf %s {around}${{COMPREPLY[0]}}{around}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        cwd=workspace,
        env=os.environ | {"PATH": path},
        check=True,
    )
    assert done.stdout == f"1\n{run_called}"
    assert not (workspace / "X").exists()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("command", "typed", "completed"),
    [
        ("train a.txt --set", "sched", ["schedule="]),
        ("train a.txt --set", "schedule =", ["constant", "cosine", "linear"]),
        ("train a.txt --set", "schedule = co", ["constant", "cosine"]),
        ("resume fox --set lr = 1 --set", "shared-masks = t", ["true"]),
        ("presets --set", "patience =", ["none"]),
        ("train a.txt --set", "lr = 1", []),
        ("train a.txt", "--preset = qu", ["quick"]),
    ],
)
def test_bash_completes_settings_and_their_values(
    command: str, typed: str, completed: list[str], workspace: Path
) -> None:
    words = f"charlstm {command} {typed}".split()  # as bash splits them, at "=" too
    script = (
        'eval "$(_CHARLSTM_COMPLETE=bash_source charlstm)"\n'
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _charlstm_completion charlstm 2> /dev/null\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=os.environ | {"PATH": path}, check=True
    )
    assert sorted(done.stdout.split()) == completed


@pytest.mark.parametrize("name", ["train", "resume", "presets"])
def test_settings_are_completed_with_their_descriptions(name: str) -> None:
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    [option] = [each for each in command.params if each.name == "assignments"]
    found = option.shell_complete(click.Context(command), "hidden")
    assert [(each.value, each.help) for each in found] == [("hidden_size=", about("hidden_size"))]
    assert [each.value for each in option.shell_complete(context, "split=b")] == ["split=blocks"]
    assert option.shell_complete(context, "nothing=") == []


def test_name_with_a_newline_is_not_completed(workspace: Path) -> None:
    name = "fox\ndir,"
    shutil.copytree(workspace / "runs" / "fox", workspace / "runs" / name)
    found = [each.value for each in complete_run(click.Context(cli), click.Argument(["run"]), "fox")]
    shutil.rmtree(workspace / "runs" / name)
    assert found == ["fox"]


def test_empty_name_of_a_folder_or_text_is_an_error(
    workspace: Path, error_of: ErrorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(os.listdir(workspace))
    assert "--runs-dir" in error_of("train", "data/fox.txt", *TINY, "--runs-dir", "")
    assert "--runs-dir" in error_of("runs", "--runs-dir", "")
    assert "empty" in error_of("stats", "")
    assert "empty" in error_of("train", "", *TINY)
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


def test_run_folder_with_decomposed_accents_is_found(workspace: Path, tmp_path: Path) -> None:
    spec = find_run("fox").spec()
    old = create_run(spec, name="old", folder=tmp_path).path.rename(tmp_path / NFD)  # as 0.1 made it
    assert find_run(NFC, tmp_path).path == old
    with pytest.raises(RunError, match="There is a run"):
        create_run(spec, name=NFC, folder=tmp_path)
    assert rename_run(find_run(NFC, tmp_path), NFC).name == NFC
    assert os.listdir(tmp_path) == [NFC]
    (tmp_path / NFC).rename(tmp_path / f"{NFD}-quick-7")
    numbered = create_run(replace(spec, corpus={"name": f"{NFC}.txt"}, preset="quick"), folder=tmp_path)
    assert numbered.name == f"{NFC}-quick-8"
