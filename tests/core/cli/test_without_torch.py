"""Commands on a machine where torch is not installed, or cannot be loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charlstm.cli.doctor import check_import_of_torch
from charlstm.errors import TorchError

COMMANDS = (
    "eval demo text", "presets text", "train text --from none --max-steps 5",
    "train text --from none --max-steps 5 --detach", "queue add text --from none --max-steps 5",
    "export demo --to script", "import checkpoint.net",
)  # fmt: skip
CODE = f"""
import sys
sys.modules["torch"] = None
from charlstm import system
from charlstm.cli.main import run
system.torch_folder = lambda: None
for words in {COMMANDS}:
    print(run(words.split()), flush=True)
"""


def test_each_command_that_needs_torch_says_in_a_sentence_that_it_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("A text of some length.\n" * 50)
    words = [sys.executable, "-P", "-c", CODE]
    answer = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["1"] * len(COMMANDS)
    assert answer.stderr.count(str(TorchError())) == len(COMMANDS), answer.stderr
    assert os.listdir(tmp_path) == ["text"]


def test_import_of_torch_that_kills_its_process_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TorchError, match="import ends with SIGILL"):
        check_import_of_torch()
