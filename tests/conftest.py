"""What all tests share: Hypothesis has no deadline, since a slow disk or a busy neighbour is no fault of the code; and
signals are not ignored, as they are for what nohup or a shell's ``&`` starts. torch and numpy use one thread unless a
test sets more: two test processes with two threads each wait for each other on two cores."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from charlstm import system

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch or numpy is imported

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Search for garbage rarely, and not in what was imported: it was a quarter of the time of the app's tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 10)


@pytest.fixture(autouse=True, scope="session")
def _usual_priority() -> Iterator[None]:
    """A run that trains in the process of the tests would lower their priority for good."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "lower_priority", lambda niceness: None)
        yield
