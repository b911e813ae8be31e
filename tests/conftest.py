"""What all tests share: Hypothesis has no deadline, since a slow disk or a busy neighbour is no fault of the code; and
signals are not ignored, as they are for what nohup or a shell's ``&`` starts. torch and numpy use one thread unless a
test sets more: two test processes with two threads each wait for each other on two cores. The user's own folders are
neither read nor written, and the terminal and the language are the same everywhere."""

import gc
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import random_examples
from charlstm import system

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch or numpy is imported
os.environ.setdefault("GOMP_SPINCOUNT", "0")  # threads sleep while they wait: else a test of two takes 5 times as long

SHARED_MEMORY = Path("/dev/shm")
LEAST_FREE = 2**31
"""Bytes that have to be free there. The files of a test are removed when it has passed."""


def _use_memory_for_files() -> None:
    """Keep temporary files in memory, where Linux has a file system for it: to remove one from a disk takes
    milliseconds, and the tests make some ten thousand."""
    if "TMPDIR" in os.environ or not os.access(SHARED_MEMORY, os.W_OK):
        return
    found = os.statvfs(SHARED_MEMORY)
    if found.f_bavail * found.f_frsize >= LEAST_FREE and not found.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = str(SHARED_MEMORY)
        tempfile.tempdir = None  # it may have been asked for before


if sys.platform == "linux":
    _use_memory_for_files()

gc.disable()  # until all tests are collected

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

HOMES = {
    "HOME": "", "XDG_CACHE_HOME": ".cache", "XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
}  # fmt: skip
"""The variables by which programs find the user's own folders, and the places of these below a home."""

OWN = ("CHARLSTM_CACHE", "CHARLSTM_CONFIG", "CHARLSTM_DATA", "CHARLSTM_RUNS", "CHARLSTM_STATE")
"""The variables of charlstm that a user may have set."""

TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
"""The terminal of every test, wherever the tests are started."""

NOT_OF_TESTS = re.compile(
    "COLUMNS|LINES|NO_COLOR|FORCE_COLOR|TTY_.*|ESCDELAY|TEXTUAL.*|TERM_PROGRAM|SSH_.*|DISPLAY|WAYLAND_DISPLAY|BROWSER"
    "|(LOCAL_)?(RANK|WORLD_SIZE)"
)
"""Variables that change what programs show or do."""

LOCALE = re.compile("LC_.*|LANG|LANGUAGE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", type=int, default=1, help="try so many times as many accidents and random examples")


@pytest.fixture(scope="session")
def times(pytestconfig: pytest.Config) -> int:
    """How many times as many accidents as usual a test tries."""
    return int(pytestconfig.getoption("--times"))


def pytest_configure(config: pytest.Config) -> None:
    """Give this process, and those that it starts, a home of their own, for what runs outside the tests: fixtures of a
    module or session, and modules that are imported."""
    random_examples.times = config.getoption("--times")
    patch = pytest.MonkeyPatch()
    home = tempfile.TemporaryDirectory(prefix="charlstm-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    config.add_cleanup(patch.undo)
    _live_in(Path(home.name), patch)
    for name in [*os.environ]:
        if name in OWN or NOT_OF_TESTS.fullmatch(name):
            patch.delenv(name)
    for name, value in TERMINAL.items():
        patch.setenv(name, value)
    if os.environ.get("LC_ALL") != "C":  # with which make anywhere runs them
        for name in filter(LOCALE.fullmatch, [*os.environ]):
            patch.delenv(name)
        patch.setenv("LANG", "C.UTF-8")


def _live_in(home: Path, patch: pytest.MonkeyPatch) -> None:
    for name, place in HOMES.items():
        patch.setenv(name, str(home / place))


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of this test alone; programs that it starts have it too."""
    home = tmp_path_factory.mktemp("home")
    _live_in(home, monkeypatch)
    return home


@pytest.fixture(autouse=True)
def _own_signal_handlers() -> Iterator[None]:
    """What a test sets, as an app does, stays in no other."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def pytest_collection_finish() -> None:
    """Search for garbage rarely, and not in what was imported: it was a quarter of the time of the app's tests."""
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 10)


@pytest.fixture(autouse=True, scope="session")
def _usual_priority() -> Iterator[None]:
    """A run that trains in the process of the tests would lower their priority for good."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "lower_priority", lambda niceness: None)
        yield
