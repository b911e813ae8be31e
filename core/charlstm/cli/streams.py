"""Closed standard streams: exit quietly with the code :data:`PIPE_CLOSED`.

A pipe whose reader has ended (``| head``) and a stream that was closed before the program started (``>&-``) are treated
alike. SIGPIPE keeps its Python default (ignored), because a training run in the foreground has to write its checkpoint
before it ends.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

PIPE_CLOSED = 141
"""The exit code when standard output or standard error is closed: that of a program which SIGPIPE ended."""


class PipeClosedError(Exception):
    """A standard stream is closed. Not an :class:`OSError`, because click would turn that into exit code 1."""


class QuietPipes(click.Command):
    """A command that raises :class:`PipeClosedError` when it writes to a closed pipe."""

    def make_context(self, *args: Any, **rest: Any) -> click.Context:
        with _convert_pipe_errors():  # --help and --version print here
            return super().make_context(*args, **rest)

    def invoke(self, ctx: click.Context) -> Any:
        with _convert_pipe_errors():
            return super().invoke(ctx)


@contextlib.contextmanager
def _convert_pipe_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise PipeClosedError from error


def replace_closed() -> None:
    """Open the standard streams that the process was started without.

    Otherwise the next file that is opened would get the file number of one. Input is then empty, standard error is
    discarded, and writing to standard output fails as on a pipe without a reader.
    """
    streams = {0: sys.stdin, 1: sys.stdout, 2: sys.stderr}
    closed = [number for number, stream in streams.items() if stream is None]
    if not closed:
        return
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:  # the system gives the lowest unused number
        os.set_inheritable(number, True)
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    if 0 in closed:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - stays open
    if 1 in closed:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
        os.close(writing)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if 2 in closed:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def discard_unwritten() -> None:
    """Discard the buffers of broken streams. Otherwise Python prints an error when the process ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError), open(os.devnull, "wb") as null:  # a stream of a test has no fileno
                os.dup2(null.fileno(), stream.fileno())
