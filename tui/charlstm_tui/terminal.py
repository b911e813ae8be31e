"""The app's ends that do not come from a key: signals, and a terminal that goes away; and input that is no input.

Textual restores the terminal when the app exits in order, but has no handler for SIGTERM and SIGHUP, and its reader
spins when the terminal's other end is closed. Here both become an ordinary exit, with a last resort behind it, because
writing to a terminal that is gone may block for ever.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from textual.message import Message

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


def forgive_input() -> None:
    """Let the app outlive what no terminal should send, where Textual ends in an error: bytes that are no UTF-8, and a
    screen reported to be empty. Call it before the app starts; does nothing on Windows."""
    if os.name == "nt":
        return
    from textual.drivers import linux_driver

    class Parser(linux_driver.XTermParser):
        def parse_mouse_code(self, code: str) -> Message | None:
            if not all((self.terminal_size or (1,)) + (self.terminal_pixel_size or (1,))):
                self.terminal_pixel_size = None  # nobody knows how large a cell is: the mouse is counted in cells
            return super().parse_mouse_code(code)

        def feed(self, data: str) -> Iterator[Message]:
            yield from self._forgiving(super().feed(data))

        def tick(self) -> Iterator[Message]:
            yield from self._forgiving(super().tick())

        def _forgiving(self, messages: Iterable[Message]) -> Iterator[Message]:
            try:
                yield from messages
            except (ValueError, ArithmeticError, LookupError, TypeError, StopIteration):
                self.__init__()  # type: ignore[misc]  # forget the sequence that made no sense

    linux_driver.XTermParser = Parser  # type: ignore[misc]
    linux_driver.getincrementaldecoder = lambda encoding: partial(codecs.getincrementaldecoder(encoding), "replace")


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
