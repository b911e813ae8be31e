"""Run jobs in threads, and call the command line in a process of its own.

What needs torch runs as a command, ``python -P -m charlstm``: the app never imports torch. Nothing here imports
Textual, because what the app remembers is read before its frame rate is chosen.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from charlstm.errors import CharLSTMError
from charlstm_tui.error_log import LOG, sentence

Check = Callable[[], None]
Args = ParamSpec("Args")
Owner = TypeVar("Owner")
Result = TypeVar("Result")


class CommandError(CharLSTMError):
    """The command failed; the message is the one it printed."""


class Cancelled(CharLSTMError):
    """The user cancelled it, or asked for something else meanwhile. A job gets this from its next call of ``check``."""


async def run_command(*argv: str) -> Any:
    """Run ``charlstm ARGV --json`` in a process of its own, and return the JSON value that it printed.

    The screen stays responsive meanwhile. When the caller is cancelled, the process is killed. Raises
    :class:`CommandError` with the message of a command that failed.
    """
    return await in_thread(lambda check: _run_process(argv, check))


def _run_process(argv: Sequence[str], check: Check) -> Any:
    command = [sys.executable, "-P", "-m", "charlstm", *argv, "--json"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err = _wait_for_output(process, check)
        finally:
            process.kill()  # has no effect if it has ended
    LOG.info("%s: exit code %s", shlex.join(command), process.returncode)
    if process.returncode:
        error_lines = err.decode("utf-8", "replace").strip().splitlines()
        raise CommandError(_error_message(error_lines[-1]) if error_lines else f"charlstm {argv[0]} failed.")
    return json.loads(out)


def _error_message(line: str) -> str:
    """The message in ``line``, the last one on stderr; the line itself if it is not an error in JSON."""
    try:
        return str(json.loads(line)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return line


def _wait_for_output(process: subprocess.Popen[bytes], check: Check) -> tuple[bytes, bytes]:
    """Wait until ``process`` ends, and return its stdout and stderr. Calls ``check`` ten times a second."""
    while True:
        check()
        try:
            return process.communicate(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue


async def in_thread(job: Callable[[Check], Result]) -> Result:
    """Run ``job(check)`` in a daemon thread and await its result.

    The job should call ``check()`` often: it raises :class:`Cancelled` after the awaiting task was cancelled. Unlike
    with :func:`asyncio.to_thread`, the program can exit while a job still runs.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise Cancelled("")

    def set_outcome(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():  # it is done when the awaiting task was cancelled
            setter(value)

    def run() -> None:
        setter: Callable[[Any], None] = future.set_result
        try:
            value: Any = job(check)
        except Cancelled:
            return
        except BaseException as error:
            setter, value = future.set_exception, error
        if not loop.is_closed():
            loop.call_soon_threadsafe(set_outcome, setter, value)

    threading.Thread(target=run, name="charlstm-job", daemon=True).start()
    try:
        return await future
    finally:
        cancelled.set()


def threaded(
    method: Callable[Concatenate[Owner, Check, Args], Result],
) -> Callable[Concatenate[Owner, Args], Coroutine[Any, Any, Result]]:
    """Let a method that runs in a thread be awaited; ``check`` of :func:`in_thread` is its first argument."""

    @wraps(method)
    async def start(owner: Owner, *args: Args.args, **options: Args.kwargs) -> Result:
        return await in_thread(lambda check: method(owner, check, *args, **options))

    return start


def report_to(check: Check, tell: Callable[[float], object] | None = None) -> Callable[[int, int], None]:
    """Reports of progress that end a job which was cancelled, and tell how much is done, 0 to 1."""

    def report(done: int, total: int) -> None:
        check()
        if tell is not None:
            tell(done / total)

    return report


async def write_in_thread(job: Callable[[Check], Result]) -> Result:
    """As :func:`in_thread`, for a job that writes a file. Raises :class:`CharLSTMError` if that is not possible."""
    try:
        return await in_thread(job)
    except OSError as error:
        name = error.filename or "The file"
        raise CharLSTMError(f"{name} cannot be written: {error.strerror or error}.") from error


class JobQueue:
    """Run jobs one after the other, each on a daemon thread."""

    def __init__(self) -> None:
        self._last: threading.Thread | None = None

    def add(self, job: Callable[[], object], doing: str, failed: Callable[[str], object] = lambda words: None) -> None:
        """Run ``job`` after the earlier jobs. If it raises an exception, ``failed`` is called with a sentence, and an
        unexpected one is logged; ``doing`` is what failed then, such as ``saving the session``."""
        run = partial(_run_after, self._last, job, doing, failed)
        self._last = threading.Thread(target=run, name="charlstm-job", daemon=True)
        self._last.start()

    def wait(self, timeout: float) -> bool:
        """Wait until all jobs are done, ``timeout`` seconds at most; returns whether they are."""
        if self._last is not None:
            self._last.join(timeout)
        return self._last is None or not self._last.is_alive()


def _run_after(
    previous: threading.Thread | None, job: Callable[[], object], doing: str, failed: Callable[[str], object]
) -> None:
    if previous is not None:
        previous.join()
    try:
        job()
    except Exception as error:
        if not isinstance(error, CharLSTMError):
            LOG.exception("Unexpected error: %s", doing)
        failed(sentence(error, doing))
