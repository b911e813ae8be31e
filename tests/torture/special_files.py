"""Puts folders, pipes, sockets, devices and links in the place of every file that the program reads or writes.

``python tests/torture/special_files.py [--short] [--only KIND]`` prints a table and fails when one of them leads to
anything but an answer or one sentence, makes the program wait, takes much memory, or changes what a link leads to. The
kinds are those of ``mutate_files.py``, read by everything that reads them, and each file of a run under all commands
that take the run, from listing it to resuming and deleting it. A failure prints how to see it again:
``--only KIND --replay CASE``.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import functools
import io
import os
import shutil
import socket
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from mutate_files import KINDS, Broken, Kind, Told, answered, damage_bytes, import_all, in_child, remove, tiny_model

from charlstm import system
from charlstm.cli.main import run as command_line
from charlstm.generation.session import Session
from charlstm.generation.session_file import save_session, state_of, write
from charlstm.model.file import load_model
from charlstm.runs.folder import Run
from charlstm.runs.notes import Notes, change_notes

TARGET = "what-a-link-leads-to"
"""The name of the regular file that a link leads to, beside the one that is replaced."""

SPECIALS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link to a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "folder with a file": lambda path: (path.mkdir(), (path / "file").write_text("x")),
    "socket": lambda path: bind(path),
    "link to a pipe": lambda path: link_to_pipe(path),
    "link to a full device": lambda path: path.symlink_to("/dev/full"),
    "link to an empty device": lambda path: path.symlink_to(os.devnull),
    "link to nothing": lambda path: path.symlink_to("nothing-there"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a folder": lambda path: path.symlink_to("/usr"),
    "link to a file": lambda path: path.symlink_to(TARGET),
    "nothing": lambda path: None,
}
DEVICES = (Path("/dev/zero"), Path("/dev/full"), Path(os.devnull))
SHORT = ("pipe", "link to a device without an end")

RUN_FILES = (
    *("run.json", "events.jsonl", "control.jsonl", "heartbeat", "lock", "worker.log", "notes.json"),
    *("model.safetensors", "state.safetensors", "state.prev.safetensors", "snapshots/0.safetensors"),
    *("sessions/mine.json", "snapshots", "sessions"),
)
TINY = ("--set", "hidden_size=8", "--num-layers", "1", "--batch-size", "2", "--seq-length", "16", "--threads", "1")
TINY += ("--kernel", "nn", "--max-minutes", "none", "--epochs", "none", "--set", "checkpoint_steps=4")


def bind(path: Path) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as end:  # a socket's name is short
        end.bind(path.name)


def link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("the-pipe"))
    path.symlink_to("the-pipe")


def content(kind: Kind) -> bytes:
    """What the kind's file should be, for what a link leads to."""
    return kind.goods[0] if kind.goods else b"not a folder"


def put(names: tuple[str, ...], kind: Kind, case: int) -> None:
    """Put the special of this case in the place of the kind's file."""
    kind.prepare()
    path, target = kind.path, kind.path.with_name(TARGET)
    for each in (path, target, path.with_name("the-pipe")):
        remove(each)
    target.write_bytes(content(kind))
    SPECIALS[names[case]](path)


def checked(make: Callable[[Path], Kind], place: Path) -> Kind:
    """The kind, whose use also checks that what a link leads to stays as it is."""
    kind = make(place)

    def use() -> None:
        try:
            kind.use()
        finally:
            if any(target.read_bytes() != content(kind) for target in place.rglob(TARGET)):
                raise Broken("the file that a link leads to was changed")
            if not all(path.is_char_device() for path in DEVICES):
                raise Broken("a device that a link leads to was replaced")

    return replace(kind, use=use)


# ── kinds that only this script has ─────────────────────────────────────────────────────────────────────────────────


@functools.cache
def two_runs() -> Path:
    """The folder of two trained runs, ``r8`` and ``r12``, which the processes of all kinds share."""
    place = Path(tempfile.mkdtemp(prefix="charlstm-special-"))
    atexit.register(shutil.rmtree, place)
    text, runs = place / "text.txt", place / "runs"
    text.write_text("the quick brown fox jumps over the lazy dog.\n" * 40)
    own = {f"CHARLSTM_{name}": str(place / name) for name in ("CACHE", "STATE")}
    with unittest.mock.patch.dict(os.environ, own), contextlib.redirect_stderr(io.StringIO()) as err:
        for steps in ("8", "12"):
            train = ("train", str(text), *TINY, "--max-steps", steps, "--name", f"r{steps}", "--runs-dir", str(runs))
            if command_line(train) != 0:
                raise SystemExit(err.getvalue())
    run = Run(runs / "r8")
    change_notes(run, lambda now: Notes(("good",), "mine"))
    run.sessions_dir.mkdir()
    session = Session(load_model(run.model_path), "the ")
    list(session.stream(5))
    save_session(session, run.sessions_dir / "mine.json")
    for path in (run.control_path, run.log_path, run.previous_state_path):
        path.touch()
    return runs


def run_file(name: str, place: Path) -> Kind:
    """A file of a run, which all commands are given that take a run. Each case gets a new copy of the run."""
    runs = place / "runs"
    shutil.copytree(two_runs(), runs)
    path = runs / "r8" / name

    def use() -> None:
        from charlstm_tui.generate.model_picker import entries
        from charlstm_tui.run_watcher import RunsReader

        where = ("--runs-dir", str(runs))
        with (
            unittest.mock.patch.object(system, "lower_priority"),  # for good, else
            unittest.mock.patch.object(system, "prepare_for_torch"),  # which loads libraries
        ):
            for words in (
                *(("runs",), ("runs", "--json"), ("compare", "r8", "r12"), ("compare", "r8", "--csv", "curves.csv")),
                *(("watch", "r8", "--plain"), ("watch", "r8", "--json"), ("info", "r8"), ("info", "r8", "--json")),
                *(("generate", "r8", "--length", "3"), ("generate", "r8", "--length", "3", "--snapshot", "0")),
                *(("control", "r8", "stop"), ("eval", "r8"), ("resume", "r8", "--max-steps", "16", "--plain")),
                *(("runs",), ("rename", "r8", "other"), ("delete", "other", "--yes"), ("runs", "--all")),
            ):
                answered(*words, *where, codes=(0, 1, 2))
                if words[0] == "control":
                    state = RunsReader(runs).read(runs / "r8", True)
                    entries(state, runs / "r8" / "sessions")

    def fresh() -> None:
        for each in (runs / "r8", runs / "other"):
            remove(each)
        shutil.copytree(two_runs() / "r8", runs / "r8")

    return Kind(path, (path.read_bytes(),) if path.is_file() else (), damage_bytes, use, fresh)


def continued_session(place: Path) -> Kind:
    """The session that one in the app's list continues."""
    from charlstm_tui.generate.model_picker import entries
    from charlstm_tui.main import is_session
    from charlstm_tui.player import saved_sessions
    from charlstm_tui.run_watcher import RunsState

    folder, named = place / "sessions", place / "named.json"
    folder.mkdir()
    session = Session(tiny_model(), "The ")
    list(session.stream(5))
    save_session(session, named)
    state = state_of(session)
    summary = replace(state.summary, edited=True, continues=str(named))
    write(folder / "auto-20261127-203000.json", replace(state, summary=summary), automatic=True)

    def use() -> None:
        entries(RunsState(), folder)
        is_session(str(named))
        saved_sessions.kept(named)
        saved_sessions.model_of(named)
        saved_sessions.forget_old(folder)
        for each in saved_sessions.elsewhere(saved_sessions.saved(folder)):
            each.about(20)

    return Kind(named, (named.read_bytes(),), damage_bytes, use)


def listed_session(place: Path) -> Kind:
    """A session in the app's list."""
    continued = continued_session(place)
    path = place / "sessions" / "auto-20261127-203000.json"
    return Kind(path, (path.read_bytes(),), damage_bytes, continued.use)


def error_log(place: Path) -> Kind:
    from charlstm_tui import error_log

    path = error_log.log_path()
    path.parent.mkdir(parents=True, exist_ok=True)

    def use() -> None:
        error_log.LOG.error("something unexpected")

    return Kind(path, (b"an older error\n",), damage_bytes, use)


MORE: dict[str, Callable[[Path], Kind]] = {
    "session in the list": listed_session,
    "session that is continued": continued_session,
    "log of errors": error_log,
    **{f"run: {name}": partial(run_file, name) for name in RUN_FILES},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = KINDS | MORE
    parser.add_argument(
        "--short", action="store_true", help=f"{' and '.join(SHORT)} in turn, and half of the files of a run"
    )
    parser.add_argument("--only", action="append", default=[], choices=list(kinds))
    parser.add_argument("--replay", type=int, help="try this case alone")
    asked = parser.parse_args()
    names = SHORT if asked.short else tuple(SPECIALS)
    began = time.monotonic()
    import_all()
    two_runs()
    lost = total = 0
    print(f"{'in the place of':<28}{'tried':>7}{'slowest':>10}{'lost':>6}")
    skipped = {f"run: {name}" for name in RUN_FILES[1::2]} if asked.short else set()
    for number, name in enumerate(asked.only or [name for name in kinds if name not in skipped]):
        cases = range(len(names))
        if asked.replay is not None or asked.short:
            first = number % len(names) if asked.replay is None else asked.replay
            cases = range(first, first + 1)
        told: Told = in_child(name, partial(checked, kinds[name]), partial(put, names), cases)
        total += len(cases)
        lost += len(told.broken)
        print(f"{name:<28}{len(cases):>7}{told.slowest:>8.1f} s{len(told.broken):>6}", flush=True)
        for case, what in told.broken.items():
            words = what.replace("\n", "\n    ")
            print(f"  --only '{name}' --replay {case}: {names[case]}\n    {words}", file=sys.stderr)
    print(f"{total} special files in {time.monotonic() - began:.0f} s, {lost} lost")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
