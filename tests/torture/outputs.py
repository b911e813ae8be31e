"""Test the outputs of commands: unusual target files, interrupted writes and closed pipes.

A target that is not a regular file is not changed, and a file only when it may be replaced. A write that fails or is
killed leaves the old or the new content. A command with closed streams exits quietly, with 141 or with the code that it
would have had. ``--short`` tests a few targets and writes, and no closed streams, which tests/core/cli tests. Prints a
table, and exits with 1 after a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from charlstm import storage, user_files  # noqa: E402
from charlstm.cli.main import run  # noqa: E402
from charlstm.model.file import load_model, model_writer  # noqa: E402
from charlstm.runs.models import find_model  # noqa: E402
from command_line import TEXT, TINY  # noqa: E402
from faulty_disk import FaultyDisk, killed  # noqa: E402

Row = tuple[str, int, list[str]]
"""What was tested, how often, and what went wrong."""

CHARLSTM = [sys.executable, "-P", "-m", "charlstm"]

WRITERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "export --to script": (".net", ("export", "fox", "--to", "script", "--out")),
    "export --to onnx": (".onnx", ("export", "fox", "--to", "onnx", "--out")),
    "import": (".safetensors", ("import", "theirs.net", "--out")),
    "play, /save": (".txt", ("play", "fox")),
}

TARGETS = (
    *("nothing", "file", "empty file", "read-only file", "link to a file", "second name of a file"),
    *(
        "folder",
        "pipe",
        "socket",
        "device",
        "link to a device",
        "link to nothing",
        "link to itself",
        "link to a folder",
    ),
)

READERS: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    "version": ("--version",),
    "help of a command": ("train", "--help"),
    "presets": ("presets",),
    "settings": ("presets", "--settings"),
    "corpora": ("corpora",),
    "stats": ("stats", "fox.txt"),
    "runs": ("runs",),
    "runs, JSON": ("runs", "--json"),
    "watch": ("watch", "fox"),
    "watch, JSON": ("watch", "fox", "--json"),
    "generate": ("generate", "fox", "--length", "100000"),
    "generate, short": ("generate", "fox", "--length", "1"),
    "generate, JSON": ("generate", "fox", "--length", "2000", "--json", "--show-probs"),
    "samples": ("generate", "fox", "--length", "5000", "--samples", "20"),
    "play": ("play", "fox"),
    "eval": ("eval", "fox"),
    "score": ("score", "fox", "fox.txt", "--per-line"),
    "score, JSON": ("score", "fox", "fox.txt", "--json"),
    "novelty": ("novelty", "fox.txt", "--model", "fox"),
    "info": ("info", "fox", "--json"),
    "import": ("import", "theirs.net", "--out", "-"),
    "export": ("export", "fox", "--to", "script", "--out", "-"),
    "paths": ("paths",),
    "cache": ("cache",),
    "train": ("train", "fox.txt", *TINY),
    "train, JSON": ("train", "fox.txt", *TINY, "--json"),
    "error": ("generate", "nobody"),
    "usage error": ("generate", "--no-such-option"),
}

CLOSINGS = {
    "no reader": '"$@" > >(exec <&-; exit)',
    "one byte read": '"$@" | head -c 1',
    "stdout closed": '"$@" >&-',
    "stderr closed": '"$@" 2>&-',
    "both into one pipe": '"$@" 2>&1 | head -c 1',
    "stdin closed": '"$@" <&-',
    "all closed": '"$@" <&- >&- 2>&-',
}


def create_target(kind: str, path: Path) -> bool:
    """Create a target of this kind at ``path``. Returns false when the system does not allow it."""
    real = path.with_name(f"mine{path.suffix}")
    match kind:
        case "file":
            path.write_bytes(b"mine")
        case "empty file":
            path.touch()
        case "read-only file":
            path.write_bytes(b"mine")
            path.chmod(0o444)
        case "link to a file":
            real.write_bytes(b"mine")
            path.symlink_to(real.name)
        case "second name of a file":
            real.write_bytes(b"mine")
            os.link(real, path)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(path.name)
        case "device":
            if os.geteuid():
                return False
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        case "link to a device":
            path.symlink_to("/dev/full")
        case "link to nothing":
            path.symlink_to("nothing")
        case "link to itself":
            path.symlink_to(path.name)
        case "link to a folder":
            path.symlink_to(".")
    return True


def snapshot(folder: Path) -> dict[str, tuple[int, int, str, bytes]]:
    """The inode, device, link target and content of each entry of ``folder``."""
    found = {}
    for path in folder.iterdir():
        info = os.lstat(path)
        link = os.readlink(path) if path.is_symlink() else ""
        found[path.name] = (info.st_ino, info.st_rdev, link, path.read_bytes() if stat.S_ISREG(info.st_mode) else b"")
    return found


def run_quietly(words: tuple[str, ...], stdin: str = "") -> tuple[int, str]:
    """Run a command; returns its exit code and stderr."""
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(stdin)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(list(words))
    finally:
        sys.stdin = before
    return code, err.getvalue()


def targets(kinds: tuple[str, ...]) -> Iterator[Row]:
    """Write to each kind of target, with and without --force."""
    theirs = Path("theirs.net").absolute()
    home = Path.cwd()
    for name, (ending, words) in WRITERS.items():
        tried, wrong = 0, []
        for kind in kinds:
            for force in (False, True):
                with tempfile.TemporaryDirectory(dir=home) as made:
                    folder = Path(made)
                    os.chdir(folder)
                    try:
                        path = folder / f"target{ending}"
                        if not create_target(kind, path):
                            continue
                        (folder / "bystander").write_bytes(b"mine")
                        before = snapshot(folder)
                        arguments = tuple(str(theirs) if word == theirs.name else word for word in words)
                        if name.startswith("play"):
                            if force:
                                continue
                            code, err = run_quietly((*arguments, "--length", "3"), f"the\n/save {path.name}\n")
                        else:
                            code, err = run_quietly((*arguments, path.name, *["--force"] * force))
                        tried += 1
                        fault = _problem(kind, force, code, err, before, snapshot(folder), path.name)
                    finally:
                        os.chdir(home)
                    if fault:
                        wrong.append(f"{name} to a {kind}{' --force' * force}: {fault} ({err.strip()[-200:]})")
        yield f"targets: {name}", tried, wrong


def _problem(
    kind: str,
    force: bool,
    code: int,
    err: str,
    before: dict[str, tuple[int, int, str, bytes]],
    after: dict[str, tuple[int, int, str, bytes]],
    name: str,
) -> str:
    """What is wrong with the result of a write, or an empty string."""
    regular = kind in ("file", "empty file", "read-only file", "link to a file", "second name of a file")
    if kind != "nothing" and not (regular and force):
        if code not in (1, 2) or err.count("\n") < 1 or "Traceback" in err:
            return f"ended with {code}"
        return "" if after == before else "something changed"
    if code:
        return f"ended with {code}"
    changed = {each for each in before.keys() | after.keys() if before.get(each) != after.get(each)}
    written = f"mine{Path(name).suffix}" if kind == "link to a file" else name
    if changed != {written}:
        return f"changed {sorted(changed)}"
    return "" if len(after[written][3]) > 3 and after[written][3] != b"mine" else "wrote nothing"


def broken_writes(every: int) -> Iterator[Row]:
    """Write a model over a file and to a new file, with a failure or a kill at each change of the disk."""
    write = model_writer(load_model(find_model("fox")), "fox")
    path = Path("fox.safetensors").absolute()
    old = b"old" * 1000
    faults: dict[str, Callable[[], object] | None] = {"the disk is full": None, "killed": killed}
    for overwrite in (True, False):
        before = old if overwrite else None
        with storage.use_disk(FaultyDisk()) as disk:
            _put(path, before)
            user_files.save(path, write, overwrite=overwrite)
        new = path.read_bytes()
        for what, fault in faults.items():
            tried, wrong = 0, []
            for at in range(0, disk.calls, every):
                for half in (False, True):
                    _put(path, before)
                    child = os.fork()
                    if not child:
                        with contextlib.suppress(OSError), storage.use_disk(FaultyDisk(at, fault, half=half)):
                            user_files.save(path, write, overwrite=overwrite)
                        os._exit(0)
                    os.waitpid(child, 0)
                    tried += 1
                    if (path.read_bytes() if path.exists() else None) not in (before, new):
                        wrong.append(f"{what} at change {at}: the file is neither as before nor new")
            yield f"writes {'over a file' if overwrite else 'of a new file'}: {what}", tried, wrong


def _put(path: Path, content: bytes | None) -> None:
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)


def pipes(readers: dict[str, tuple[str, ...]], closings: dict[str, str]) -> Iterator[Row]:
    """Run each command with closed streams."""
    plain = {}
    for name, words in readers.items():
        done = subprocess.run([*CHARLSTM, *words], input=b"the\n", capture_output=True, check=False)
        plain[name] = (done.returncode, bool(done.stdout))
    for closing, line in closings.items():
        wrong = []
        for name, words in readers.items():
            command = ["bash", "-c", f"set -o pipefail; {line}", "bash", *CHARLSTM, *words]
            done = subprocess.run(command, input=b"the\n", capture_output=True, timeout=120, check=False)
            err = done.stderr.decode(errors="replace")
            traceback = "Traceback" in err or "Exception ignored" in err
            if traceback or done.returncode not in _expected_codes(name, closing, *plain[name]):
                wrong.append(f"{name}, {closing}: ended with {done.returncode}, stderr {err[-300:]!r}")
        yield f"closed pipes: {closing}", len(readers), wrong


def _expected_codes(name: str, closing: str, code: int, writes: bool) -> set[int]:
    """Allowed exit codes of a command that normally ends with ``code`` and ``writes`` to stdout."""
    if name == "play" and closing == "all closed":
        return {0}  # there is no input, so nothing is written
    if closing in ("stdout closed", "all closed"):
        return {141} if writes and not code else {code}
    if closing in ("stderr closed", "stdin closed") or (code and closing != "both into one pipe"):
        return {code}
    return {code, 141}  # the reader may end before or after the command


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="test a few of each, as the test suite does")
    short = parser.parse_args().short
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        for name in ("CACHE", "STATE", "RUNS"):
            os.environ[f"CHARLSTM_{name}"] = str(Path(made, name.lower()))
        os.chdir(made)
        Path("fox.txt").write_text(TEXT, encoding="utf-8")
        for words in (("train", "fox.txt", *TINY, "--name", "fox"), (*WRITERS["export --to script"][1], "theirs.net")):
            if run_quietly(words)[0]:
                print(f"charlstm {' '.join(words)} failed")
                return 1
        rows: list[Row] = [
            *targets(("file", "link to a file", "pipe", "device") if short else TARGETS),
            *broken_writes(3 if short else 1),
            *(() if short else pipes(READERS, CLOSINGS)),
        ]
        os.chdir("/")
    for _, _, wrong in rows:
        for line in wrong:
            print(line)
    print(f"{'':<44}{'tests':>7}{'failed':>8}")
    for what, tried, wrong in rows:
        print(f"{what:<44}{tried:>7}{len(wrong):>8}")
    failed = sum(len(wrong) for _, _, wrong in rows)
    print(f"{sum(tried for _, tried, _ in rows)} in {time.monotonic() - began:.0f} s, {failed} lost")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
