"""`charlstm session` prints and exports the text of a saved session without its model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from command_line import Cli

SAVED = Path(__file__).parents[2] / "data" / "version_0_2" / "branches.json"
EXPECTED = json.loads(SAVED.with_name("expected.json").read_text())["branches"]
TEXT = EXPECTED["prime"] + EXPECTED["text"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return Path(shutil.copy(SAVED, tmp_path / "poem.json"))


def test_session_prints_the_text(saved: Path, cli: Cli) -> None:
    assert cli("session", str(saved)) == (f"{TEXT}\n", "")


def test_session_is_exported_and_replaces_a_file_only_when_forced(saved: Path, cli: Cli) -> None:
    out = saved.with_suffix(".txt")
    assert cli("session", str(saved), "--out", str(out)) == (f"{out}\n", "")
    assert out.read_text() == TEXT
    assert "already exists: replace it with --force" in cli.error("session", str(saved), "--out", str(out))
    cli("session", str(saved), "--out", str(out), "--force")
    assert "There is no session file" in cli.error("session", str(saved.with_name("none.json")))
    assert "not as .pdf" in cli.error("session", str(saved), "--out", str(saved.with_suffix(".pdf")))
