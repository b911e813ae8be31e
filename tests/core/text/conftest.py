"""Each test has its own cache, state and data folders."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("charlstm")
    for name in ("CACHE", "STATE", "DATA"):
        monkeypatch.setenv(f"CHARLSTM_{name}", str(folder / name.lower()))
    return folder


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared texts are missing")
    return SHARED.resolve()
