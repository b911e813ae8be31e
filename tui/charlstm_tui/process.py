"""Switches that act on the whole process: frame rate, switching of threads, garbage collection, and how it ends.

How the app ends: leaving it is signalled to all threads at once, and none is waited for on the event loop. Only the
player has something to save. After :data:`SAVE_WITHIN` the screen is left all the same; the process then waits until it
is saved. The other threads only read, are daemons, and end with the process. After a signal or a lost terminal, the
process ends :data:`LAST_RESORT` seconds later, because writing to a terminal that is gone may block for ever; what is
being saved by then has :data:`SAVE_AT_THE_LATEST`.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping

LOCAL_FPS, REMOTE_FPS = 500, 60
SWITCH_INTERVAL = 0.001
THRESHOLDS = (700, 10, 1000)
SAVE_WITHIN = 1.0
"""Seconds for which the screen stays while a session is saved at the end."""
LAST_RESORT = 3.0
"""Seconds that an orderly exit may take after a signal."""
SAVE_AT_THE_LATEST = 60.0
"""Seconds that saving may take then."""


def set_frame_rate() -> None:
    """Choose how often Textual draws at most, unless the user did (``TEXTUAL_FPS``). Before anything imports Textual.

    A change of the screen waits for the next tick, or after a frame that took longer than a tick for the one after it:
    up to 33 ms with Textual's 60 a second, too long for a key, and 4 ms here. Drawing takes longer than that, so there
    are never so many frames. On a remote terminal the way there takes as long, and more frames of several kilobytes,
    as when text races by, would fill a slow connection: keys then wait behind frames that are never seen. So a remote
    terminal gets Textual's own 60.
    """
    os.environ.setdefault("TEXTUAL_FPS", str(frame_rate(os.environ)))


def frame_rate(environment: Mapping[str, str]) -> int:
    """Frames a second for a terminal on this machine, or for one at the other end of a connection."""
    remote = any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"))
    return REMOTE_FPS if remote else LOCAL_FPS


def switch_threads_quickly() -> None:
    """Let the screen's thread take turns with those that play or read logs every millisecond.

    Python's own 5 ms add up over the several turns that the work for a key takes.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)


def search_garbage_rarely() -> None:
    """Search all objects for garbage a hundred times more rarely than Python does.

    That holds everything up for 30 to 100 ms: once a second while text races by, and now and then in a list of 200
    runs, where the slowest keys waited for nothing else (99th percentile 37 to 19 ms). New objects are searched as
    often as always, for 3 ms at most; with a threshold 14 times as high it took up to 27 ms.
    """
    gc.set_threshold(*THRESHOLDS)


def settle_garbage() -> None:
    """Leave what the app consists of now out of the search for garbage. Call it after a model was loaded. What belonged
    to a model that is played no more is freed first."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def exit_now(code: int) -> None:
    """End the process without waiting for other threads. While one is alive, Python's own taking down is left out: it
    ends daemon threads in the middle of compiled code, which may abort the process (python/cpython#87135)."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def exit_at_the_latest(code: int, finish: Callable[[], object] = lambda: None) -> None:
    """End the process in :data:`LAST_RESORT` seconds, if it has not ended by then. ``finish``, which saves what is not
    saved yet, is called before and waited for, :data:`SAVE_AT_THE_LATEST` seconds at most."""
    _end_in(LAST_RESORT, lambda: _finish(code, finish))


def _finish(code: int, finish: Callable[[], object]) -> None:
    _end_in(SAVE_AT_THE_LATEST, lambda: os._exit(code))
    try:
        finish()
    finally:
        os._exit(code)


def _end_in(seconds: float, end: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
