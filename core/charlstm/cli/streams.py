"""Standard streams that are closed, from the start or by their reader: a quiet end with :data:`PIPE_CLOSED`.

A reader that has seen enough (``| head``) and a stream that was closed before the program began (``>&-``) are one
case: what is written there cannot arrive. Not by letting SIGPIPE end the process: a training in the foreground
has to write its checkpoint first.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

PIPE_CLOSED = 141
"""The exit code when standard output or standard error is closed: what a shell says of programs that SIGPIPE ends."""


class PipeClosedError(Exception):
    """Nobody reads what was written. Not an :class:`OSError`, which click would turn into exit code 1."""


class QuietPipes(click.Command):
    """A command out of which comes :class:`PipeClosedError` when it writes to a closed pipe."""

    def make_context(self, *args: Any, **rest: Any) -> click.Context:
        with _pipe_errors():  # --help and --version write here
            return super().make_context(*args, **rest)

    def invoke(self, ctx: click.Context) -> Any:
        with _pipe_errors():
            return super().invoke(ctx)


@contextlib.contextmanager
def _pipe_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise PipeClosedError from error


def replace_closed() -> None:
    """Give the process the standard streams that it was started without, so that the next file that is opened does
    not get the number of one: input is empty, what is said to nobody is lost, results meet a pipe without a reader."""
    streams = {0: sys.stdin, 1: sys.stdout, 2: sys.stderr}
    closed = [number for number, stream in streams.items() if stream is None]
    if not closed:
        return
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:  # each takes the lowest number that is free
        os.set_inheritable(number, True)
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    if 0 in closed:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
    if 1 in closed:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
        os.close(writing)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if 2 in closed:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def discard_unwritten() -> None:
    """Drop what a broken stream still holds, since Python would complain of it when the process ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:  # a stream of a test has no number
                os.dup2(nowhere.fileno(), stream.fileno())
