"""Every test of this floor has caches and state of its own; nothing of the user's is touched."""

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
        pytest.skip("the shared texts are not here")
    return SHARED.resolve()
