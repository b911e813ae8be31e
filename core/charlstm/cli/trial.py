"""What ``doctor --try`` tries: kernels, a resume, a rewound text, the folder of the runs, the terminal."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from charlstm import storage, system
from charlstm.errors import CharLSTMError
from charlstm.generation.session import Session
from charlstm.runs.folder import RunFolder
from charlstm.runs.store import load_state

SETTINGS = (
    "hidden_size=64 batch_size=8 seq_length=32 dropout=0.2 weight_drop=0.2 checkpoint_steps=7 max_steps=120 "
    "log_every=1 kernel=fused precision=float32 threads=2 niceness=0"
)

QUESTIONS = b"\x1b]11;?\x1b\\\x1b[?u\x1b[c"
"""For a terminal: its background, its protocol of keys (kitty), and what every terminal answers."""


def try_all(runs_dir: Path, device: str | None, problems: list[str]) -> dict[str, str]:
    """Try everything; the results by name. What fails is added to ``problems``. ``device`` is None without torch."""
    trials: dict[str, Callable[[], str]] = {
        "rewound text": _rewind,
        "folder of the runs": lambda: _try_folder(runs_dir),
        "terminal": _ask_terminal,
    }
    if device is not None:
        from charlstm.engine.trial import try_kernels

        trials |= {"kernels": lambda: try_kernels(device), "stop and resume": lambda: _resume(runs_dir, device)}
    found = {}
    for name, attempt in trials.items():
        try:
            found[name] = attempt()
        except (CharLSTMError, OSError) as error:
            found[name] = "failed"
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
        file, place = Path(name, "file"), Path(name, "lock")
        lock = storage.take_lock(place, 0)
        if lock is None or not system.is_locked(place):
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
    with tempfile.TemporaryDirectory(prefix=".try-", dir=runs_dir) as name, open(Path(name, "output"), "wb") as output:
        text, folder = Path(name, "text"), Path(name, "runs")
        text.write_text("".join(f"{n} green bottles hanging on the wall, {n * n} more\n" for n in range(1000)))
        own = {"CACHE": name, "STATE": name, "CONFIG": f"{name}/config.toml", "RUNS": str(folder)}
        environment = os.environ | {f"CHARLSTM_{each}": place for each, place in own.items()}

        def start(*words: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-P", "-m", "charlstm", *words, "--plain"]
            return subprocess.Popen(command, env=environment, stdout=output, stderr=output)

        settings = [word for each in f"{SETTINGS} device={device}".split() for word in ("--set", each)]
        train = ("train", str(text), "--from", "none", *settings, "--name")
        whole, killed = start(*train, "whole"), start(*train, "killed")
        one, other = RunFolder(folder / "whole"), RunFolder(folder / "killed")
        log = other.events_path
        while killed.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 30):
            time.sleep(0.01)
        killed.kill()
        killed.wait()
        before, _ = load_state(other)
        for process in (whole, start("resume", "killed")):
            if process.wait():
                raise CharLSTMError(Path(output.name).read_text(errors="replace").strip()[-500:])
        (wanted, _), (found, _) = load_state(one), load_state(other)
        tensors = [
            state and {name: each.tobytes() for name, each in state.tensors.items()} for state in (wanted, found)
        ]
        if tensors[0] != tensors[1]:
            raise CharLSTMError("a run that was killed and resumed has other weights than one that was not")
        return f"killed at step {before and before.step} and resumed, the same bit for bit"


def _ask_terminal() -> str:
    """What the terminal answers to :data:`QUESTIONS`, as it stands."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "not asked: standard input is no terminal"
    import termios
    import tty

    descriptor, answer = sys.stdin.fileno(), b""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        os.write(sys.stderr.fileno(), QUESTIONS)
        while not answer.endswith(b"c") and select.select([descriptor], [], [], 0.5)[0]:
            answer += os.read(descriptor, 4096)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
    return f"answers {answer.decode('ascii', 'replace')!r} to the questions for background and keys"
