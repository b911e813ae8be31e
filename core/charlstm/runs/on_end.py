"""Tell a person that a run has ended, in the terminal, and a program that the person has chosen.

Both are configured in the user's configuration alone: nothing in the folder of a run can start a program.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess

from charlstm import storage
from charlstm.config import Notify, load_config
from charlstm.display import visible
from charlstm.fields import plain
from charlstm.runs.folder import RunFolder
from charlstm.runs.notes import notes_if_readable
from charlstm.runs.status import RunStatus
from charlstm.runs.table import ListedRun, best_words, spec_if_readable

SHORTEST = 60.0
"""Seconds of work of a run from which on its end is told in the terminal. For less, one stays and watches."""

TIME_LIMIT = 30.0
"""Seconds after which the program is killed."""

MOST_WORDS = 200
"""Characters of a notification."""


def end_words(name: str, status: RunStatus) -> str:
    """What to tell of the run ``name``, if it has finished or failed after a minute or more; else empty."""
    if status.work_seconds < SHORTEST:
        return ""
    if status.state == "finished":
        loss = best_words(status)
        return f"{name} has finished{f': loss {loss}' if loss else ''}"
    return f"{name} has {status.state}: {status.message}" if status.state in ("failed", "crashed") else ""


def terminal_sequence(words: str, notify: Notify) -> str:
    """What makes a terminal tell ``words``: the notification of the desktop (OSC 9, of iTerm2), which terminals without
    it ignore, and the bell. Empty without words."""
    plain = visible(f"charlstm: {words}", keep="")[:MOST_WORDS]
    desktop = f"\x1b]9;{plain}\a" if notify in ("desktop", "both") else ""
    return f"{desktop}{chr(7) if notify in ('bell', 'both') else ''}" if words else ""


def call_on_end(run: RunFolder) -> str:
    """Start the program of ``on_end``, if there is one, without a shell. It gets ``run`` as JSON on its standard input,
    and what it prints goes to ``worker.log``. Returns what went wrong, in a sentence; empty if nothing did.

    Only a process that does not hold the run's lock may call it: the program would hold it too.
    """
    config, problems = load_config()
    if not (command := config.on_end):
        return next((problem for problem in problems if "on_end" in problem), "")
    values = plain(ListedRun(run, run.status(), spec_if_readable(run), notes_if_readable(run)))
    words = [os.path.expanduser(command[0]), *command[1:]]
    try:
        output = storage.disk.open(run.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            program = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=os.path.expanduser("~"),
                start_new_session=True,  # so that Ctrl-C is not for it
            )
        finally:
            os.close(output)
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        problem = f"could not be started: {getattr(error, 'strerror', None) or error}"
    else:
        problem = _wait_for(program, json.dumps(values).encode())
    return problem and f"The program of on_end, {command[0]}, {problem}"


def _wait_for(program: subprocess.Popen[bytes], given: bytes) -> str:
    """Write ``given`` to the standard input of ``program`` and wait for its end. Returns what went wrong."""
    try:
        program.communicate(given, timeout=TIME_LIMIT)
        return f"ended with exit code {program.returncode}" if program.returncode else ""
    except subprocess.TimeoutExpired:
        return f"did not end within {TIME_LIMIT:g} seconds and was killed"
    finally:
        if program.poll() is None:  # Ctrl-C, too, ends the waiting
            os.killpg(program.pid, signal.SIGKILL)  # with all processes of the program
            program.wait()
