"""The app's ends that do not come from a key: signals, and a terminal that goes away.

Textual restores the terminal when the app exits in order, but has no handler for SIGTERM and SIGHUP, and its reader
spins when the terminal's other end is closed. Here both become an ordinary exit, with a last resort behind it, because
writing to a terminal that is gone may block for ever.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
from collections.abc import Callable

PATIENCE = 3.0  # seconds that an orderly exit may take


def catch_endings(end: Callable[[int], None]) -> None:
    """Call ``end(exit code)`` on the event loop once when a signal or the terminal says that it is over.

    Must be called from the event loop; does nothing for signals outside the main thread, or on Windows.
    """
    if os.name == "nt" or threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def over(code: int) -> None:
        last_resort = threading.Timer(PATIENCE, os._exit, [code])
        last_resort.daemon = True
        last_resort.start()
        end(code)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(number, over, 128 + number)

    def gone() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(over, 128 + signal.SIGHUP)

    if sys.__stdin__ is not None and sys.__stdin__.isatty():
        watch = threading.Thread(
            target=_watch, args=(sys.__stdin__.fileno(), gone), name="charlstm-hangup", daemon=True
        )
        watch.start()


def _watch(descriptor: int, gone: Callable[[], None]) -> None:
    """Wait, without reading a byte, until the terminal behind ``descriptor`` hangs up."""
    poll = select.poll()
    poll.register(descriptor, 0)  # hanging up and errors are always told
    while True:
        events = poll.poll()
        if events and events[0][1] & select.POLLNVAL:  # a system whose poll knows no terminals
            return
        if events:
            gone()
            return
