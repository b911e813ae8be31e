"""The short form of ``iterate_again.py``: a trainer closed at some of its events and iterated again, bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import iterate_again


def test_trainer_iterated_again_is_the_same_trainer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path))  # which the script sets for its process
    monkeypatch.setattr(sys, "argv", ["iterate_again.py", "--random", "1", "--every", "140"])
    failed = iterate_again.main()
    printed = capsys.readouterr()
    assert not failed, printed.out + printed.err
    assert printed.out.count(" 0\n") == 6, printed.out
