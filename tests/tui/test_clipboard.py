"""The clipboard of a Mac."""

import os
import sys
from pathlib import Path

import pytest

from charlstm_tui.app import CharLSTMApp


@pytest.mark.parametrize(("variable", "copied"), [("NONE", "é"), ("SSH_CONNECTION", "")])
def test_text_is_copied_on_a_mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, copied: str) -> None:
    """Where the session is local."""
    (tmp_path / "pbcopy").write_text(f"#!/bin/sh\ncat > {tmp_path}/copied\n")
    (tmp_path / "pbcopy").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(sys, "platform", "darwin")
    CharLSTMApp().copy_to_clipboard("é")
    found = tmp_path / "copied"
    assert (found.read_text(encoding="utf-8") if found.exists() else "") == copied
