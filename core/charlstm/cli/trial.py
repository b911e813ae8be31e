"""What ``doctor --try`` tries: kernels, a resume, a rewound text, the folder of the runs, the terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from threading import Timer

from charlstm import storage, system
from charlstm.errors import CharLSTMError
from charlstm.generation.session import Session
from charlstm.training.state import load_state

TRAIN = (
    "train text --from none --hidden-size 64 --batch-size 8 --dropout 0.2 --max-steps 60 --set checkpoint_steps=7 "
    "--set log_every=1 --set kernel=fused --set precision=float32 --set threads=2 --set niceness=0"
)

LONGEST = 120.0
"""Seconds after which a command that was started is ended."""


def try_all(runs_dir: Path, device: str | None, problems: list[str]) -> dict[str, str]:
    """Try everything; the results by name. What fails is added to ``problems``. ``device`` is None without torch."""
    trials: dict[str, Callable[[], str]] = {"rewound text": _rewind, "terminal": _ask_terminal}
    trials["folder of the runs"] = partial(_try_folder, runs_dir)
    if device is not None:
        from charlstm.engine.trial import try_kernels

        trials |= {"kernels": partial(try_kernels, device), "stop and resume": partial(_resume, runs_dir, device)}
    found = dict.fromkeys(trials, "failed")
    for name, attempt in trials.items():
        try:
            found[name] = attempt()
        except (CharLSTMError, OSError) as error:
            problems.append(f"{name.capitalize()}: {error}")
    return found


def _rewind() -> str:
    session = Session("demo", "The ", seed=1)
    first = [step.probability for step in session.stream(200)]
    session.rewind(100)
    if [step.probability for step in session.stream(100)] != first[100:]:
        raise CharLSTMError("a text that is rewound goes on with other probabilities")
    return "the same bit for bit"


def _try_folder(runs_dir: Path) -> str:
    runs_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".try-", dir=runs_dir) as name:
        file, lock_path = Path(name, "file"), Path(name, "lock")
        lock = storage.take_lock(lock_path, 0)
        if lock is None or not system.is_locked(lock_path):
            raise CharLSTMError("it has no locks: keep runs on another file system, --runs-dir FOLDER")
        lock.release()
        before = time.perf_counter()
        storage.replace_bytes(file, bytes(1_000_000))
        words = f"locks, a megabyte on the disk in {1000 * (time.perf_counter() - before):.0f} ms"
        with contextlib.suppress(OSError):  # runs copy their text where there are none
            storage.link_file(file, Path(name, "link"))
        return f"{words}, {'links' if Path(name, 'link').exists() else 'no links'}"


def _resume(runs_dir: Path, device: str) -> str:
    """Kill and resume a run, and compare the result with an undisturbed run."""
    with tempfile.TemporaryDirectory(prefix=".try-", dir=runs_dir) as name:
        Path(name, "text").write_text("".join(f"{n} bottles hanging on the wall, {n * n} more\n" for n in range(1000)))
        _run(name, f"{TRAIN} --device {device} --name whole")
        _run(name, f"{TRAIN} --device {device} --name killed", kill_at="step     30")
        _run(name, "resume killed")
        whole, killed = (load_state(Path(name, "RUNS", each, "state.safetensors")) for each in ("whole", "killed"))
        if any((killed.tensors[key] != tensor).any() for key, tensor in whole.tensors.items()):
            raise CharLSTMError("a run that was killed and resumed has other weights than one that was not")
        return "killed at step 30 and resumed, the same bit for bit"


def _run(folder: str, words: str, kill_at: str | None = None) -> None:
    """Run a command of charlstm in ``folder``, or kill it at the line that begins with ``kill_at``."""
    own = {f"CHARLSTM_{each}": f"{folder}/{each}" for each in ("CACHE", "CONFIG", "RUNS", "STATE")}
    command, said = [sys.executable, "-P", "-m", "charlstm", *words.split(), "--plain"], ""
    with Popen(command, cwd=folder, env=os.environ | own, stdout=PIPE, stderr=STDOUT, text=True) as child:
        timer = Timer(LONGEST, child.kill)
        timer.start()
        for line in child.stdout or ():
            said += line
            if kill_at and line.startswith(kill_at):
                child.kill()
        timer.cancel()
    if child.returncode and not kill_at:
        raise CharLSTMError(f"a short training failed, or was ended after {LONGEST:.0f} seconds: {said.strip()[-400:]}")


def _ask_terminal() -> str:
    """Ask for the background, the protocol of keys (kitty), and what every terminal answers. Return what it says."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "not asked: standard input is no terminal"
    answer, before = b"", termios.tcgetattr(0)
    try:
        tty.setcbreak(0)
        os.write(2, b"\x1b]11;?\x1b\\\x1b[?u\x1b[c")
        while not answer.endswith(b"c") and select.select([0], [], [], 0.5)[0]:
            answer += os.read(0, 4096)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
    return f"answers {answer.decode('ascii', 'replace')!r} to the questions for background and keys"
