"""Fixtures: a folder with a small trained run, copied for each test module, and what runs commands."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlstm.cli.main import run
from charlstm.runs import worker
from charlstm.runs.folder import RunFolder
from charlstm.training.events import Event, Finished
from command_line import TEXT, TINY, Cli, LogEvents
from recorded_run import log_events, started


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
def log_instead_of_training(monkeypatch: pytest.MonkeyPatch) -> LogEvents:
    """Let commands that train do no more than log these events."""

    def log_only(*events: Event) -> None:
        def train(run: RunFolder, **_: object) -> Iterator[Event]:
            for event in events:
                log_events(run.events_path, event)
                yield event

        monkeypatch.setattr(worker, "run_foreground", train)

    return log_only


@pytest.fixture
def untrained(log_instead_of_training: LogEvents) -> None:
    """Commands that train end at once, with a run that was created but not trained."""
    end = Finished(step=1, reason="done", loss=2.0, best_step=1, train_seconds=1.0, best_whole=True)
    log_instead_of_training(started(), end)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)
