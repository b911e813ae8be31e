"""Commands exit quietly when a standard stream is closed, and lose nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from charlstm.runs.folder import find_run
from command_line import TINY

pytestmark = pytest.mark.usefixtures("workspace")

CHARLSTM = [sys.executable, "-P", "-m", "charlstm"]


def shell(line: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``line`` in bash with ``"$@"`` as charlstm with ``words``."""
    command = ["bash", "-c", f"set -o pipefail; {line}", "bash", *CHARLSTM, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


GENERATE = "generate fox --length 100000"


@pytest.mark.parametrize(
    ("line", "words", "code"),
    [
        ('"$@" | head -c 5', GENERATE, 141),
        ('"$@" 2>&1 | head -c 5', GENERATE, 141),
        ('"$@" 2>&- | wc -c', "generate fox --length 2000", 0),
        ('"$@" >&- 2>&- <&-', GENERATE, 141),
        ('"$@" | true', "presets --settings", 141),  # which are written at once when it ends
        ('"$@" | true', "export fox --to script --out -", 141),
    ],
)
def test_command_with_closed_streams_exits_quietly(line: str, words: str, code: int) -> None:
    done = shell(line, *words.split())
    assert (done.returncode, done.stderr) == (code, "")


def test_closed_stdin_is_empty_input() -> None:
    assert shell('"$@" <&-', "play", "fox").returncode == 0
    done = shell('"$@" <&-', "eval", "fox", "-")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    done = shell('"$@" <&-', "generate", "fox", "--prime-file", "-", "--length", "3")
    assert (done.returncode, len(done.stdout)) == (0, 4)


def test_train_writes_a_checkpoint_when_its_pipe_closes() -> None:
    done = shell('"$@" | head -1', "train", "data/fox.txt", *TINY, "--max-steps", "100000", "--name", "left", "--json")
    assert (done.returncode, done.stderr) == (141, "")
    assert json.loads(done.stdout)["event"] == "started"
    status = find_run("left").status()
    assert (status.state, find_run("left").state_path.exists()) == ("stopped", True)
