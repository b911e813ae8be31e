"""Kills, quits and cuts the power of a process that types into sessions, and looks for every word that it typed.

Nothing may be missing that :meth:`SessionSaver.keep` was told of half a second before (1.5 s where the text has a
million characters), and no file may have anything else than what the document was at some moment. The time is counted
from the call, and the longest delay of a sleeping thread during the try is added: on a busy machine no thread can do
better.

The typing process is forked for each try, from one that has the session in memory. It writes the time of each call of
``keep`` to a pipe. What it does is decided by a seed, so that this process can do it again and compare.
"""

import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from charlstm import storage
from charlstm.generation.document import Document
from charlstm.generation.rows import CHOSEN
from charlstm.generation.session_file import ReadSession, read, write
from charlstm_tui.player.session_saver import SessionSaver
from faulty_disk import PowerLossDisk
from played_documents import state_of

LONGEST_TRY = 1.5
"""Seconds for which a process types, at most."""
MOMENT = struct.Struct("<d")
SYMBOLS = tuple(" abcdefghijklmnopqrstuvwxyz,.\n")


# ---- sessions


def allowed(length: int) -> float:
    """Seconds that what is typed may take to the file of a text of so many characters."""
    return 0.5 + max(0, length - 100_000) / 900_000


def made_document(length: int) -> Document:
    """A document with so many characters and some branches."""
    chance = random.Random(0)
    document = Document("abc", seed=3)
    document.insert("".join(chance.choices(SYMBOLS, k=length)))
    for place in (length // 3, length // 2):
        document.branch_off(place, "x", CHOSEN, kind="choosing")
        document.insert("another way on ")
        document.switch(0)
    return document


def made_file(place: Path, megabytes: float) -> Path:
    """A file of so many megabytes, as the app writes it."""
    path = place / "auto-20260101-000000.json"
    write(path, state_of(made_document(int(megabytes * 1e6))), automatic=True)
    return path


def do(document: Document, chance: random.Random) -> None:
    """What is done before one call of ``keep``: mostly a letter, sometimes anything else."""
    kind = chance.random()
    if kind < 0.8:
        document.insert(chance.choice("abcde fgh ij\n"))
    elif kind < 0.85:
        document.move(chance.randrange(len(document) + 1))
    elif kind < 0.9:
        document.erase(before=chance.randrange(1, 9))
    elif kind < 0.93:
        document.undo()
    elif kind < 0.95:
        document.redo()
    elif kind < 0.97:
        document.insert("pasted " * chance.randrange(1, 300))
    elif kind < 0.99:
        document.begin_generating()
        for char in "generated":
            document.generate(char)
    else:
        document.branch_off(chance.randrange(len(document) + 1), "x", CHOSEN, kind="choosing")


def pause(chance: random.Random) -> float:
    return chance.choice((0, 0, 0.001, 0.01, 0.03, 0.1))


# ---- the process that types


@dataclass
class Typist:
    """A forked process that types into a session until it is killed, or told by SIGUSR1 to quit. ``make_disk`` gives
    its disk."""

    folder: Path
    found: ReadSession | None = None
    make_disk: Callable[[], storage.Disk] = storage.Disk
    start_at: float = 0.0

    def start(self) -> None:
        self.seed, self.template = random.randrange(2**32), Document("abc")
        if self.found is not None:
            self.template = self.found.state.document
        receiver, sender = os.pipe()
        # A signal that comes before the process has a function for it waits.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._type(sender)
            except BaseException as error:
                print(f"the typing process: {error!r}", file=sys.stderr)
                os._exit(1)
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(sender)
        self._receiver = receiver

    def _type(self, sender: int) -> None:
        quits = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: quits.set())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        storage.disk = self.make_disk()
        saver, document, chance = SessionSaver(), self.template.copy(), random.Random(self.seed)
        time.sleep(max(0.0, self.start_at - time.monotonic()))
        if self.found is None:
            saver.begin(0, self.folder)
        else:
            saver.go_on(0, self.folder, self.found)
        while not quits.is_set():
            do(document, chance)
            state = state_of(document)
            os.write(sender, MOMENT.pack(time.monotonic()))
            saver.keep(0, state)
            time.sleep(pause(chance))
        saver.close(30.0)

    def calls(self) -> list[float]:
        """The times of the calls, after the process has ended."""
        with open(self._receiver, "rb") as file:
            content = file.read()
        whole = len(content) - len(content) % MOMENT.size
        return [moment for (moment,) in MOMENT.iter_unpack(content[:whole])]


def last_saved(typist: Typist, calls: int, found: Document) -> int | None:
    """After which call the document was as it is in a file: the last one; None if it never was."""
    last, document, chance = None, typist.template.copy(), random.Random(typist.seed)
    for number in range(calls + 1):
        if number:
            do(document, chance)
            pause(chance)
        same = (
            len(document) == len(found)
            and (document.cursor, document.branch) == (found.cursor, found.branch)
            and document.text == found.text
        )
        if same and document.undoable == found.undoable and document.list_branches() == found.list_branches():
            last = number
    return last


@contextmanager
def delays() -> Iterator[list[float]]:
    """The longest delay of a sleeping thread of this process inside the block."""
    longest, ended = [0.0], threading.Event()

    def sleep() -> None:
        while not ended.is_set():
            before = time.monotonic()
            time.sleep(0.005)
            longest[0] = max(longest[0], time.monotonic() - before - 0.005)

    thread = threading.Thread(target=sleep)
    thread.start()
    try:
        yield longest
    finally:
        ended.set()
        thread.join()


# ---- what is tried, each time in an empty folder; what went wrong, or nothing

NOTHING_TYPED = "nothing was typed"
"""It struck too early to prove anything."""


def trouble(typist: Typist, end: float, allowed: float) -> str:
    """What the file lacks of what was typed until ``end``, or has besides."""
    calls, path = typist.calls(), next(typist.folder.glob("*.json"), None)
    found = None if path is None else read(path)
    if found is not None and found.note:
        return found.note
    last = last_saved(typist, len(calls), typist.template if found is None else found.state.document)
    if last is None:
        return "the file has what never was"
    age = end - calls[last] if last < len(calls) else 0.0
    if age > allowed:
        return f"{len(calls) - last} of {len(calls)} changes are missing, the oldest {age:.3f} s old"
    return "" if calls else NOTHING_TYPED


def end_at_random(place: Path, *, quits: bool, new: bool = False) -> str:
    """Kill or quit at a random moment, with ``new`` one of the first second in a new session."""
    typist = Typist(place, None if new else read(made_file(place, random.choice((0.1, 1.0)))))
    with delays() as longest:
        typist.start()
        may_lack = allowed(len(typist.template))
        time.sleep(random.uniform(0.0, may_lack + (may_lack if new else LONGEST_TRY)))
        end = time.monotonic()
        os.kill(typist.pid, signal.SIGUSR1 if quits else signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(typist.pid, 0)[1])
    if status != (0 if quits else -signal.SIGKILL):
        return f"it ended with {status}"
    return trouble(typist, end, 0.0 if quits else may_lack + longest[0])


def cut_power(place: Path, *, early: bool) -> str:
    """Cut the power before some change of the disk, with the names of files early or late."""
    path, at = made_file(place, 0.02), random.randrange(3, 60)
    typist = Typist(place, read(path), lambda: PowerLossDisk(place, at, names_first=early))
    with delays() as longest:
        typist.start()
        while not os.waitpid(typist.pid, os.WNOHANG)[0]:
            time.sleep(0.002)
        end = time.monotonic()
    return trouble(typist, end, allowed(0) + longest[0])


def write_together(place: Path, *, writers: int, one_file: bool) -> str:
    """So many processes begin sessions in one folder in the same second, or all go on in one file."""
    start_at, found = time.monotonic() + 0.1, None
    if one_file:
        path = place / "auto-20260101-000000.json"
        write(path, state_of(Document("abc")), automatic=True)
        found = read(path)
    typists = [Typist(place, found, start_at=start_at) for _ in range(writers)]
    for typist in typists:
        typist.start()
    time.sleep(random.uniform(0.3, 0.8))
    for typist in typists:
        os.kill(typist.pid, signal.SIGUSR1)
    for typist in typists:
        os.waitpid(typist.pid, 0)
    files = [read(each).state.document for each in place.glob("*.json")]
    if len(files) != writers:
        return f"there are {len(files)} files"
    for typist in typists:
        count = len(typist.calls())
        if not any(last_saved(typist, count, each) == count for each in files):
            return "a text is in no file"
    return ""


TRIED: dict[str, Callable[[Path], str]] = {
    "kill": partial(end_at_random, quits=False),
    "quit": partial(end_at_random, quits=True),
    "kill in a new session": partial(end_at_random, quits=False, new=True),
    "power cut, names late": partial(cut_power, early=False),
    "power cut, names early": partial(cut_power, early=True),
    "two programs in one folder": partial(write_together, writers=2, one_file=False),
    "three programs in one file": partial(write_together, writers=3, one_file=True),
}


def tries(what: str, count: int) -> list[str]:
    """What went wrong in each of so many tries."""
    random.seed(0)
    found = []
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_STATE_HOME"] = str(Path(name) / "state")
        for number in range(count):
            place = Path(name) / str(number)
            place.mkdir()
            found.append(TRIED[what](place))
            shutil.rmtree(place)
    return found
