"""What ``doctor --try`` tries: kernels, a resume, a rewound text, the folder of the runs, the terminal."""

from __future__ import annotations

import contextlib
import math
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
from subprocess import PIPE, STDOUT, Popen, TimeoutExpired

import numpy as np

from charlstm import storage, system
from charlstm.errors import CharLSTMError
from charlstm.generation.session import Session
from charlstm.runs.folder import RunFolder
from charlstm.runs.log import read_events
from charlstm.runs.series import RunSeries
from charlstm.runs.store import load_state

TRAIN = (
    "train text --from none --hidden-size 64 --batch-size 8 --dropout 0.2 --max-steps 60 --set checkpoint_steps=7 "
    "--set log_every=1 --set kernel=fused --set precision=float32 --set threads=2 --set niceness=0"
)

LONGEST = 120.0
"""Seconds after which a training that was started is ended."""

QUESTIONS = b"\x1b]11;?\x1b\\\x1b[?u\x1b[c"
"""For a terminal: its background, its protocol of keys (kitty), and what every terminal answers."""


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
        whole, killed = RunFolder(Path(name, "whole")), RunFolder(Path(name, "killed"))
        Path(name, "text").write_text("".join(f"{n} bottles hanging on the wall, {n * n} more\n" for n in range(1000)))
        own = {"CACHE": name, "STATE": name, "CONFIG": f"{name}/config.toml", "RUNS": name}
        environment = os.environ | {f"CHARLSTM_{each}": path for each, path in own.items()}
        until = time.monotonic() + LONGEST

        def run(words: str, steps: float = math.inf) -> None:
            """Run a command until it ends, or kill it when the run ``killed`` has taken so many steps."""
            step, command = 0, [sys.executable, "-P", "-m", "charlstm", *words.split(), "--plain"]
            with Popen(command, cwd=name, env=environment, stdout=PIPE, stderr=STDOUT, text=True) as child:
                while child.returncode is None and step < steps and time.monotonic() < until:
                    with contextlib.suppress(TimeoutExpired):
                        child.communicate(timeout=0.02)
                    step = RunSeries.of(read_events(killed.events_path)).step
                child.kill()
                said = child.communicate()[0].strip()[-400:]
            if child.returncode and step < steps:
                raise CharLSTMError(f"a short training failed, or was ended after {LONGEST:.0f} seconds: {said}")

        run(f"{TRAIN} --device {device} --name whole")
        run(f"{TRAIN} --device {device} --name killed", steps=20)
        run("resume killed")
        one, other = (load_state(each)[0] for each in (whole, killed))
        if not (one and other and all(np.array_equal(other.tensors[key], each) for key, each in one.tensors.items())):
            raise CharLSTMError("a run that was killed and resumed has other weights than one that was not")
        return "killed at step 20 and resumed, the same bit for bit"


def _ask_terminal() -> str:
    """What the terminal answers to :data:`QUESTIONS`, as it stands."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "not asked: standard input is no terminal"
    answer, before = b"", termios.tcgetattr(0)
    try:
        tty.setcbreak(0)
        os.write(2, QUESTIONS)
        while not answer.endswith(b"c") and select.select([0], [], [], 0.5)[0]:
            answer += os.read(0, 4096)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
    return f"answers {answer.decode('ascii', 'replace')!r} to the questions for background and keys"
