"""`charlstm session` prints and exports the text of a saved session without its model."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import Cli

SAVED = Path(__file__).parents[2] / "data" / "version_0_2" / "branches.json"
EXPECTED = json.loads(SAVED.with_name("expected.json").read_text())["branches"]
TEXT = EXPECTED["prime"] + EXPECTED["text"]


def test_session_is_printed_or_exported_and_replaces_a_file_only_when_forced(tmp_path: Path, cli: Cli) -> None:
    saved, out = str(SAVED), tmp_path / "poem.txt"
    assert cli("session", saved) == (f"{TEXT}\n", "")
    assert cli("session", saved, "--out", str(out)) == (f"{out}\n", "")
    assert out.read_text() == TEXT
    assert "already exists: replace it with --force" in cli.error("session", saved, "--out", str(out))
    cli("session", saved, "--out", str(out), "--force")
