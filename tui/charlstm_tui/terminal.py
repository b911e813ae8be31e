"""What comes from the terminal besides keys: signals, a terminal that goes away, and input that is not valid.

Textual restores the terminal when the app exits in order, but has no handler for SIGTERM and SIGHUP, and its reader
uses a whole processor when the terminal's other end is closed. Here both become an ordinary exit.
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
from typing import Any

from textual.app import App
from textual.drivers import linux_driver
from textual.events import Key, Paste
from textual.message import Message

from charlstm_tui.ordered_keys import Typed
from charlstm_tui.pastes import PasteReader
from charlstm_tui.process import exit_at_the_latest
from charlstm_tui.terminal_background import BackgroundQuestion

XTermParser = linux_driver.XTermParser
"""Textual's own, also once another one is in its place."""


def exit_on_signals(end: Callable[[int], None], finish: Callable[[], object]) -> None:
    """Call ``end(exit code)`` on the event loop when a signal asks for the end, or the terminal goes away; and
    ``finish()``, before the process is ended by force.

    Must be called from the event loop; does nothing for signals outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def end_app(code: int) -> None:
        # At once, as the loop may wait for good: Textual's queue of writes is full, and the terminal takes no output.
        exit_at_the_latest(code, finish)
        if not loop.is_closed():
            loop.call_soon_threadsafe(end, code)

    def signalled(number: int, frame: object) -> None:
        if loop.is_closed():
            signal.signal(number, before[signal.Signals(number)])
            signal.raise_signal(number)
        else:
            end_app(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    for number in numbers:
        loop.remove_signal_handler(number)  # that of Textual's driver for browsers
    before = {number: signal.signal(number, signalled) for number in numbers}  # the loop would call one of its own

    web = os.environ.get("TEXTUAL_DRIVER")  # its input is a pipe, which the server closes when it ends
    if sys.__stdin__ is not None and (web or sys.__stdin__.isatty()):
        hung_up = partial(end_app, 128 + signal.SIGHUP)
        watch = threading.Thread(
            target=_watch, args=(sys.__stdin__.fileno(), hung_up), name="charlstm-hangup", daemon=True
        )
        watch.start()


def write_to_terminal(app: App[Any], sequence: str) -> None:
    """Write a control sequence to the terminal of ``app``, between what the app draws."""
    if (driver := app._driver) is not None:  # Textual has a method for the bell alone
        driver.write(sequence)


def tolerate_invalid_input(question: BackgroundQuestion | None = None) -> None:
    """Read input with :func:`tolerant_parser`, and bytes that are not UTF-8. Call it before the app starts."""
    parser = tolerant_parser(question)
    module = sys.modules[XTermParser.__module__]
    for each in (module, linux_driver):  # the first is for drivers that are not imported yet: that of a browser
        vars(each)["XTermParser"] = parser
    linux_driver.getincrementaldecoder = lambda encoding: partial(codecs.getincrementaldecoder(encoding), "replace")


def tolerant_parser(question: BackgroundQuestion | None = None) -> type[XTermParser]:
    """Textual's parser of input, but whatever is pasted is text, and what no terminal should send, with which Textual
    would end in an error, such as a report of an empty screen, is ignored; so are late answers to ``question``. What
    was typed before the question was answered comes first."""

    class Parser(XTermParser):
        def __init__(self, debug: bool = False) -> None:
            super().__init__(debug)
            self.pastes = PasteReader()

        def parse_mouse_code(self, code: str) -> Message | None:
            if not all((self.terminal_size or (1,)) + (self.terminal_pixel_size or (1,))):
                self.terminal_pixel_size = None  # the size of a cell is unknown: the mouse is counted in cells
            return super().parse_mouse_code(code)

        def feed(self, data: str) -> Iterator[Message]:
            keys = list[Key]()
            for message in self._read(data):
                if isinstance(message, Key):
                    keys.append(message)
                    continue
                if keys:
                    yield Typed(keys)
                    keys = []
                yield message
            if keys:
                yield Typed(keys)

        def _read(self, data: str) -> Iterator[Message]:
            if not data:
                yield from super().feed(data)
                return
            if question is not None:
                data = question.without_answers(data)
            for part, is_pasted in self.pastes.read(data):
                if is_pasted:
                    yield Paste(part)
                elif part:
                    yield from self._tolerant(super().feed(part))
                else:
                    super(XTermParser, self).__init__()  # forget the sequence that began the paste

        def tick(self) -> Iterator[Message]:
            if question is not None and question.typed:
                typed, question.typed = question.typed, ""
                yield from self.feed(typed)
            if (pasted := self.pastes.overdue()) is not None:
                yield Paste(pasted)
            yield from self._tolerant(super().tick())

        def _tolerant(self, messages: Iterable[Message]) -> Iterator[Message]:
            try:
                yield from messages
            except (ValueError, ArithmeticError, LookupError, TypeError, StopIteration):
                self.__init__()  # type: ignore[misc]  # forget the sequence that made no sense

    return Parser


def _watch(descriptor: int, hung_up: Callable[[], None]) -> None:
    """Wait, without reading a byte, until the terminal behind ``descriptor`` hangs up."""
    poll = select.poll()
    poll.register(descriptor, 0)  # hanging up and errors are always told
    while True:
        events = poll.poll()
        if events and events[0][1] & select.POLLNVAL:  # a system whose poll knows no terminals
            return
        if events:
            hung_up()
            return
