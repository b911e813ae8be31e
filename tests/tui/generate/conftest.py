"""What tests of Generate share: a folder of their own with runs beside, and a model to play."""

import shutil
from pathlib import Path

import pytest

from charlstm.model.file import save_model
from charlstm.runs.folder import RunFolder
from recorded_run import record, tiny_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with runs in it."""
    monkeypatch.setenv("CHARLSTM_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(home: Path) -> Path:
    path = home / "tiny.safetensors"
    save_model(path, tiny_model(prime="The morning"))
    return path


@pytest.fixture
def other(model: Path) -> Path:
    """The same model in another file."""
    return Path(shutil.copy(model, model.with_name("other.safetensors")))


@pytest.fixture
def run(home: Path) -> RunFolder:
    """A run that has finished, with models after 0, 50, 100, 200 and 400 steps."""
    return record(home / "runs", "finished", name="novel-quick-1", steps=400).run
