"""One tiny run, trained once, for every file of tests to have a copy of; and ways to ask the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlstm.cli.main import run
from command_line import TEXT, TINY, Answer, Refused, Said


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        _move_in(folder, patch)
        (folder / "data").mkdir()
        (folder / "data" / "fox.txt").write_text(TEXT, encoding="utf-8")
        assert run(["train", "data/fox.txt", *TINY, "--name", "fox"]) == 0
    return folder


@pytest.fixture(scope="module")
def place(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty machine with one text, data/fox.txt, and one trained tiny run, fox."""
    folder = tmp_path_factory.mktemp("cli") / "place"
    shutil.copytree(trained, folder)
    with pytest.MonkeyPatch.context() as patch:
        _move_in(folder, patch)
        yield folder


def _move_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE", "STATE", "RUNS"):
        patch.setenv(f"CHARLSTM_{name}", str(folder / name.lower()))
    patch.chdir(folder)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """stdout and stderr of a command that ends with ``code``."""

    def ask(*words: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert run(list(words)) == code
        captured = capsys.readouterr()
        return captured.out, captured.err

    return ask


@pytest.fixture
def answer(said: Said) -> Answer:
    """What a command prints with --json."""
    return lambda *words: json.loads(said(*words, "--json")[0])


@pytest.fixture
def refused(said: Said) -> Refused:
    """The one sentence of a command that will not do what it is asked."""

    def ask(*words: str) -> str:
        out, err = said(*words, code=2)
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith("charlstm: ")
        return err

    return ask
