"""Shared by the benchmarks: the text, an empty home, processes that keep the machine busy."""

import contextlib
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

ANNA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "anna.txt"
HOMES = ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
BUSY = "import hashlib\ndata = bytes(1 << 18)\nwhile True: hashlib.sha256(data)"


def parser_of(about: str | None) -> ArgumentParser:
    return ArgumentParser(description=about, formatter_class=RawDescriptionHelpFormatter)


def default_text() -> str:
    """The novel Anna Karenina if it is beside this clone, else the built-in Python reference."""
    return str(ANNA) if ANNA.exists() else "python-reference"


@contextlib.contextmanager
def empty_home() -> Iterator[Path]:
    """A home for the programs that are started meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= dict.fromkeys(HOMES, folder)
        yield Path(folder)


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep ``count`` processes busy, each in a session of its own, as those of several users are."""
    children = [subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()
