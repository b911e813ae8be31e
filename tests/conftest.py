"""What all tests share: Hypothesis has no deadline, since a slow disk or a busy neighbour is no fault of the code; and
signals are not ignored, as they are for what nohup or a shell's ``&`` starts. torch and numpy use one thread unless a
test sets more: two test processes with two threads each wait for each other on two cores."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch or numpy is imported

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
