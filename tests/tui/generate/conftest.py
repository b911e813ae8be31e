"""What tests of Generate share: a folder of their own with runs beside, and a model to play."""

from pathlib import Path

import pytest

from charlstm.model.file import save_model
from recorded_run import tiny_model


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
