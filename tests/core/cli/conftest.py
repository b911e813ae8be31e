"""Fixtures: a folder with a small trained run, copied for each test module, and functions that run commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlstm.cli.main import run
from charlstm.errors import ExitCode
from command_line import TEXT, TINY, ErrorOf, RunCli, RunJson


@pytest.fixture(scope="session")
def trained_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        _enter(folder, patch)
        (folder / "data").mkdir()
        (folder / "data" / "fox.txt").write_text(TEXT, encoding="utf-8")
        assert run(["train", "data/fox.txt", *TINY, "--name", "fox"]) == 0
    return folder


@pytest.fixture(scope="module")
def workspace(trained_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder, with a text, data/fox.txt, and a trained run, fox. Caches and runs are kept in it too."""
    folder = tmp_path_factory.mktemp("cli") / "workspace"
    shutil.copytree(trained_workspace, folder)
    with pytest.MonkeyPatch.context() as patch:
        _enter(folder, patch)
        yield folder


def _enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE", "STATE", "RUNS"):
        patch.setenv(f"CHARLSTM_{name}", str(folder / name.lower()))
    patch.chdir(folder)


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> RunCli:
    """Run a command that must end with ``code``; returns its stdout and stderr."""

    def run_command(*words: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert run(list(words)) == code
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run_command


@pytest.fixture
def run_json(run_cli: RunCli) -> RunJson:
    """Run a command with --json; returns the parsed result."""
    return lambda *words: json.loads(run_cli(*words, "--json")[0])


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]) -> ErrorOf:
    """Run a command that must fail; returns its error message, one line on stderr."""

    def run_command(*words: str) -> str:
        capsys.readouterr()
        assert run(list(words)) in (ExitCode.FAILED, ExitCode.WRONG_USAGE)
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith("charlstm: ")
        return err

    return run_command
