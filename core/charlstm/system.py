"""Everything that differs between operating systems: process identity, priorities, memory, locks, signals, syncing.

Each call of /proc is here beside its macOS counterpart. Functions about processes do not raise: what the system does
not know is ``None`` or an empty string, and what it refuses is not done.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Self

from charlstm.errors import TorchError

OOM_SCORE = 700
"""Of 1,000: when memory runs out, the kernel should end the worker first, since it has checkpoints."""

KEPT_MEMORY = 64 << 20
"""Bytes of freed memory that a training process keeps for its next step."""

SPIN_COUNT = "20000"
"""How often a thread of libgomp looks for work before it sleeps, instead of for some milliseconds. Beside other
programs the awaited thread may get no processor meanwhile, because looking for work takes the processor: `charlstm
eval` of 40,000 characters took 299 s beside two busy processes on two cores. With this it takes 10 to 45, and with rows
that threads read alone (`engine/thread_pool.py`) 11 to 12."""


@functools.cache
def host() -> str:
    """The name of this machine."""
    import socket  # 3 ms, and most commands do not need it

    return socket.gethostname() or "localhost"


@functools.cache
def boot_id() -> str:
    """A string that changes when the machine boots, so that process numbers of two boots are not confused; empty where
    the system has none."""
    if sys.platform == "linux":
        return _read("/proc/sys/kernel/random/boot_id").strip()
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "kern.bootsessionuuid")
    return ""


def process_start(pid: int) -> str | None:
    """When process ``pid`` started, as a string to compare with an earlier one; ``None`` when there is no such process,
    empty where the system does not know."""
    if sys.platform == "linux":
        # field 22 of proc_pid_stat(5), clock ticks since boot; the name in field 2 may hold spaces and brackets
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else None
    return _output("ps", "-o", "lstart=", "-p", str(pid)) or None


def is_same_process(pid: int, start: str) -> bool:
    """Whether process ``pid`` runs and is the one that started at ``start``."""
    now = process_start(pid)
    return now is not None and (not now or not start or now == start)


def memory_bytes() -> int | None:
    """Resident memory of this process in bytes; on macOS its peak, as the current figure would take another process."""
    if sys.platform == "linux":
        pages = _read("/proc/self/statm").split()
        return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else None
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def cpu_count() -> int:
    """The number of CPU cores that this process may use; on a Mac the fast ones, as torch does, because equal shares of
    the work wait for the slow ones."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return _fast_cores() or os.cpu_count() or 1


@functools.cache
def _fast_cores() -> int:
    written = _output("sysctl", "-n", "hw.perflevel0.physicalcpu")
    return int(written) if written.isdigit() else 0


@functools.cache
def cpu_model() -> str:
    """The name of the processor; where the system does not tell, its architecture."""
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or os.uname().machine
    names = (line.partition(":")[2] for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name"))
    return next(names, os.uname().machine).strip()


@dataclass(frozen=True, slots=True)
class ProcessorTimes:
    """Seconds in which the threads of this process computed, and in which they waited for a free core."""

    running: float
    waiting: float


def processor_times() -> ProcessorTimes | None:
    """The times of all present threads since they began; ``None`` where the system does not tell.

    Linux: /proc/PID/schedstat in nanoseconds (Documentation/scheduler/sched-stats.rst).
    """
    found = [_read(f"/proc/self/task/{thread}/schedstat").split() for thread in _threads()]
    times = [(int(fields[0]), int(fields[1])) for fields in found if len(fields) >= 2]
    if not times:  # a kernel without CONFIG_SCHED_INFO
        return None
    running, waiting = (sum(each) / 1e9 for each in zip(*times, strict=True))
    return ProcessorTimes(running, waiting)


def _threads() -> list[str]:
    """The numbers of the threads of this process; empty where the system does not tell."""
    if sys.platform != "linux":
        return []
    try:
        return os.listdir("/proc/self/task")
    except OSError:
        return []


class MachineTimes(NamedTuple):
    """Clock ticks of all cores since the machine booted, and the number of threads that compute or wait for a core now.

    ``busy`` has ``nice`` in it: the time of programs that let others go first."""

    total: int
    busy: int
    nice: int
    runnable: int


def machine_times() -> MachineTimes | None:
    """The times of the whole machine from /proc/stat (proc_stat(5)); ``None`` on a system without the file."""
    lines = {name: rest.split() for name, _, rest in (line.partition(" ") for line in _read("/proc/stat").splitlines())}
    if "procs_running" not in lines:
        return None
    ticks = [int(field) for field in lines["cpu"][:8]]  # the guests' times after these are in the first two as well
    return MachineTimes(sum(ticks), sum(ticks) - ticks[3] - ticks[4], ticks[1], int(lines["procs_running"][0]))


def load() -> float | None:
    """The number of threads that compute or wait, for each core, as an average over the last minute; ``None`` where the
    system does not tell."""
    with contextlib.suppress(OSError):
        return os.getloadavg()[0] / cpu_count()
    return None


def lower_priority(niceness: int) -> None:
    """Let other programs go before this process by ``niceness``, 0 to 19, and let the kernel end it first when memory
    runs out. A process that was started with a higher niceness keeps that.

    Linux keeps a niceness for each thread, and a new thread has that of the thread that starts it.
    """
    for thread in _threads() or ["0"]:
        with contextlib.suppress(OSError):
            now = os.getpriority(os.PRIO_PROCESS, int(thread))
            os.setpriority(os.PRIO_PROCESS, int(thread), max(now, niceness))
    if sys.platform == "linux":
        if os.getsid(0) == os.getpid():  # else the group contains the user's shell and everything in it
            # sched(7): with autogroups the kernel schedules sessions, so the niceness of a process that is alone in its
            # session has no effect
            with contextlib.suppress(OSError):
                Path("/proc/self/autogroup").write_text(str(niceness))
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))


@contextlib.contextmanager
def no_search_for_garbage() -> Iterator[None]:
    """Search for no garbage meanwhile. Nearly all of what an import makes stays, and for torch the search takes a tenth
    of a second of processor time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _is_own_process:
            gc.freeze()
        if on:
            gc.enable()


_is_own_process = False


def own_process() -> None:
    """Say that this process is charlstm's alone, so that no garbage is searched for among what it imports with
    :func:`no_search_for_garbage`, and none when it ends. With torch that would take 0.1 s and 0.25 s of processor time.
    OpenMP's threads spin for less time, if torch is not imported yet.
    """
    global _is_own_process
    _is_own_process = True
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    atexit.register(gc.freeze)
    if sys.platform == "darwin":  # Accelerate's products of matrices set these flags without a reason (numpy #28687)
        warnings.filterwarnings("ignore", ".* encountered in (matmul|dot)", RuntimeWarning)


def torch_folder() -> Path | None:
    """Where torch is installed, found without importing it; ``None`` without torch."""
    found = PathFinder.find_spec("torch")
    return None if found is None or not found.origin else Path(found.origin).parent


def check_torch() -> None:
    """Raises :class:`TorchError` when torch is not installed. Whether it can be loaded only a try tells."""
    if torch_folder() is None:
        raise TorchError


def prepare_for_torch() -> None:
    """Configure OpenMP and glibc for training, before torch is imported. Raises :class:`TorchError` without torch.

    OpenMP's threads spin for milliseconds after each task, on cores that the training kernel's own threads need by
    then, or another program; they shall stop sooner. OpenMP reads this once, when torch is imported. glibc returns
    freed memory to the system at the end of every step and gets it back as zeroed pages; it shall keep some. A step
    of 2 × 512, 16 × 50 on two vCPUs went from 76 to 69 ms by the first, from 84 to 78 by the second.
    """
    check_torch()
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    if sys.platform == "linux":
        import ctypes

        trim_threshold, mmap_threshold = -1, -3
        with contextlib.suppress(AttributeError):  # a libc that has no mallopt
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(mmap_threshold, KEPT_MEMORY // 2)
            mallopt(trim_threshold, KEPT_MEMORY)


def open_folder(path: Path) -> int:
    """A descriptor of the folder ``path``. Raises :class:`OSError`."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def is_locked(path: Path) -> bool | None:
    """Whether a process holds the OS lock on ``path``; ``None`` when this cannot be determined.

    This takes a shared lock for an instant: several readers do not disturb each other, and a worker that starts in that
    instant tries again.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def sync_file(descriptor: int) -> None:
    """Flush a file to the disk, past the drive's own cache (on macOS, fsync alone does not flush that)."""
    if sys.platform == "darwin":
        with contextlib.suppress(OSError):  # a file system that does not support it, such as a network's
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_folder(name: str, parent: int | None) -> None:
    """Flush the names in a folder to the disk. ``name`` is relative to the open folder ``parent``, if given."""
    descriptor = os.open(name, os.O_RDONLY, dir_fd=parent)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output(*command: str) -> str:
    import subprocess  # 2 ms, and only some systems need it

    # `ps` writes times in the language and the time zone of who asks, which a traveller changes
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


class StopSignals:
    """Inside the block the first SIGINT, SIGTERM or SIGHUP sets ``requested`` to its name. Another SIGINT or SIGTERM
    raises :class:`KeyboardInterrupt` with its name, and a third ends the process as without the block.

    A terminal that closes often sends SIGHUP twice, from the kernel and from the shell: it never counts as the second
    signal. Outside the main thread, where Python delivers no signals, the block changes nothing.
    """

    NUMBERS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.requested: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def request_stop(self, why: str) -> None:
        """Do as if the first signal had arrived, with ``why`` as its name."""
        self.requested = self.requested or why

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self.NUMBERS:
                if self._replaces(signal.getsignal(number)):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @staticmethod
    def _replaces(handler: object) -> bool:
        return handler != signal.SIG_IGN  # ignored under nohup

    def _handle(self, number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.requested is None:
            self.requested = name
        elif name != "SIGHUP":
            for each in self._before:
                signal.signal(each, signal.SIG_DFL)
            raise KeyboardInterrupt(name)


class DeferredInterrupt(StopSignals):
    """The same for SIGINT alone (Ctrl-C, the stop button of a notebook), and only where that has Python's own handler,
    not another such as that of :class:`StopSignals`. For code that can end cleanly a moment later."""

    NUMBERS = (signal.SIGINT,)

    @staticmethod
    def _replaces(handler: object) -> bool:
        return handler is signal.default_int_handler
