"""Limits of time and memory for reading a file that somebody damaged or made to do harm. Linux only."""

import contextlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MB = 2**20
ADDRESS_SPACE = 4096 * MB
"""What the process may take beyond what it has, so that a failure does not take the machine along."""


class Late(BaseException):
    """The time is up. No ``except Exception`` swallows it."""


@contextlib.contextmanager
def bounded(seconds: float, memory: int) -> Iterator[None]:
    """Take at most so many seconds, and so many bytes of memory more than before."""

    def late(*_: Any) -> None:
        raise Late(f"it took more than {seconds:.0f} s")

    handler, limits = signal.signal(signal.SIGALRM, late), resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the kernel begins a new high-water mark
    before = memory_of_process("VmRSS")
    resource.setrlimit(resource.RLIMIT_AS, (memory_of_process("VmSize") + ADDRESS_SPACE, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)
    taken = memory_of_process("VmHWM") - before
    assert taken <= memory, f"it took {taken // MB} MB"


def memory_of_process(name: str) -> int:
    """Bytes of this process: resident (``VmRSS``), at most resident (``VmHWM``) or addressable (``VmSize``)."""
    return 1024 * int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0])


def check_sentence(sentence: str) -> None:
    """It is one sentence that a terminal shows as it is."""
    assert sentence.isprintable(), repr(sentence[:300])
    assert 0 < len(sentence) <= 2000, repr(sentence[:300])
