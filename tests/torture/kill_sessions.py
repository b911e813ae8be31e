"""Kills, quits and cuts the power of a process that types into sessions, and looks for every word that it typed.

``python tests/torture/kill_sessions.py [--kills N] [--cuts N] [--together N] [--megabytes 0.1 1]`` prints a table and
fails when something is missing that :meth:`SessionSaver.keep` was told of half a second before (1.5 s where the text
has a million characters), or when a file has anything else than what the document was at some moment. The time is
counted from the call, and the longest delay of a sleeping thread during the try is added: on a busy machine no thread
can do better.

The typing process is forked for each try, from one that has the session in memory. It writes the number and the time of
each call of ``keep`` to a pipe. What it does is decided by a seed, so that this process can do it again and compare.
"""

from __future__ import annotations

import argparse
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from charlstm import storage
from charlstm.generation.document import Document
from charlstm.generation.rows import CHOSEN
from charlstm.generation.session_file import ReadSession, SessionState, read, write
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.session_saver import SessionSaver
from faulty_disk import PowerLossDisk
from played_documents import about

LONGEST_TRY = 1.5
"""Seconds for which a process types, at most."""
CALL = struct.Struct("<id")
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


def state_of(document: Document) -> SessionState:
    return SessionState(document.copy(), about(document))


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
    its disk; ``quit`` is how many seconds it waits then; with ``leaves`` it leaves the session first."""

    document: Document
    folder: Path
    found: ReadSession | None
    seed: int
    make_disk: Callable[[], storage.Disk] = storage.Disk
    quit: float = 1.0
    leaves: bool = False
    start_at: float = 0.0

    def start(self) -> None:
        receiver, sender = os.pipe()
        # A signal that comes before the process has a function for it waits.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        self.pid = os.fork()
        if self.pid == 0:
            os.close(receiver)
            status = 1
            try:
                self._type(sender)
                status = 0
            except BaseException as error:
                print(f"the typing process: {error!r}", file=sys.stderr)
            finally:
                os._exit(status)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(sender)
        self._receiver = receiver

    def _type(self, sender: int) -> None:
        quits = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: quits.set())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        storage.disk = self.make_disk()
        saver, document, chance = SessionSaver(), self.document, random.Random(self.seed)
        time.sleep(max(0.0, self.start_at - time.monotonic()))
        if self.found is None:
            saver.begin(0, self.folder)
        else:
            saver.go_on(0, self.folder, self.found)
        number = 0
        while not quits.is_set():
            do(document, chance)
            number += 1
            state = state_of(document)
            os.write(sender, CALL.pack(number, time.monotonic()))
            saver.keep(0, state)
            time.sleep(pause(chance))
        if self.leaves:
            saver.leave(0)
        began = time.monotonic()
        left = saver.close(self.quit)
        os.write(sender, CALL.pack(-1 - len(left), time.monotonic() - began))

    def calls(self) -> list[tuple[int, float]]:
        """The numbers and times of the calls, after the process has ended; a negative number is that of the end."""
        with open(self._receiver, "rb") as file:
            content = file.read()
        whole = len(content) - len(content) % CALL.size
        return list(CALL.iter_unpack(content[:whole]))


def states(document: Document, seed: int, count: int) -> Iterator[Document]:
    """The document before the first call, and as it is after each."""
    chance = random.Random(seed)
    yield document
    for _ in range(count):
        do(document, chance)
        pause(chance)
        yield document


def last_saved(template: Document, seed: int, count: int, found: Document) -> int | None:
    """After which call the document was as it is in a file: the last one; None if it never was."""
    last = None
    for number, document in enumerate(states(template.copy(), seed, count)):
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


# ---- what is tried


@dataclass
class Row:
    """What was tried, how often, how often it struck while something was being done, in how many tries something was
    lost, and the age in seconds of the oldest thing that was not in a file."""

    what: str
    tries: int = 0
    struck: int = 0
    lost: int = 0
    oldest: float = 0.0
    longest_quit: float = 0.0

    def __str__(self) -> str:
        return f"{self.what:<58}{self.tries:>6}{self.struck:>9}{1000 * self.oldest:>9.0f} ms{self.lost:>6}"

    def lose(self, why: str) -> None:
        self.lost += 1
        print(f"{self.what}, try {self.tries}: {why}", file=sys.stderr)

    def compare(self, typist: Typist, template: Document, path: Path, end: float, allowed: float) -> None:
        """Compare the file with what was typed until ``end``."""
        calls = [call for call in typist.calls() if call[0] > 0]
        self.struck += bool(calls)
        found = read(path)
        if found.note:
            return self.lose(found.note)
        last = last_saved(template, typist.seed, len(calls), found.state.document)
        if last is None:
            return self.lose("the file has what never was")
        age = end - calls[last][1] if last < len(calls) else 0.0
        self.oldest = max(self.oldest, age)
        if age > allowed:
            self.lose(f"{len(calls) - last} of {len(calls)} changes are missing, the oldest {age:.3f} s old")
        return None


def copied(template: Path, place: Path) -> Path:
    """A copy of a session's file."""
    place.mkdir()
    return Path(shutil.copy(template, place / template.name))


def kills(template: Path, tries: int, *, quits: bool, leaves: bool = False) -> Row:
    """Kill or quit so many times at random moments."""
    how = "quit when the session is left" if leaves else "quit" if quits else "kill -9"
    row = Row(f"{how}, session of {template.stat().st_size / 1e6:.1f} MB")
    document = read(template).state.document
    for number in range(tries):
        row.tries += 1
        path = copied(template, template.parent / f"try-{number}")
        typist = Typist(document.copy(), path.parent, read(path), random.randrange(2**32), leaves=leaves)
        with delays() as longest:
            typist.start()
            time.sleep(random.uniform(0.02, LONGEST_TRY + allowed(len(document))))
            end = time.monotonic()
            os.kill(typist.pid, signal.SIGUSR1 if quits else signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(typist.pid, 0)[1])
        if status != (0 if quits else -signal.SIGKILL):
            row.lose(f"it ended with {status}")
        row.compare(typist, document, path, end, 0.0 if quits else allowed(len(document)) + longest[0])
        shutil.rmtree(path.parent)
    return row


def new_sessions(place: Path, tries: int) -> Row:
    """Kill a process at a random moment of its first half second in a new session."""
    row, document = Row("kill -9, new session"), Document("abc")
    for number in range(tries):
        row.tries += 1
        folder = place / f"new-{number}"
        folder.mkdir()
        typist = Typist(document.copy(), folder, None, random.randrange(2**32))
        with delays() as longest:
            typist.start()
            time.sleep(random.uniform(0.0, 0.5))
            end = time.monotonic()
            os.kill(typist.pid, signal.SIGKILL)
            os.waitpid(typist.pid, 0)
        path = next(folder.glob("*.json"), None)
        if path is not None:
            row.compare(typist, document, path, end, allowed(0) + longest[0])
        elif calls := typist.calls():
            row.struck += 1
            row.oldest = max(row.oldest, end - calls[0][1])
            if end - calls[0][1] > allowed(0) + longest[0]:
                row.lose("there is no file")
        shutil.rmtree(folder)
    return row


def cuts(place: Path, tries: int, *, early: bool) -> Row:
    """Cut the power before so many changes of the disk, with the names of files early or late."""
    row = Row(f"power cut, names {'early' if early else 'late'}")
    path = made_file(place, 0.02)
    document = read(path).state.document
    for number in range(tries):
        row.tries += 1
        copy = copied(path, place / f"cut-{early}-{number}")
        at = random.randrange(3, 60)

        def cut(at: int = at, folder: Path = copy.parent) -> storage.Disk:
            return PowerLossDisk(folder, at, names_first=early)

        typist = Typist(document.copy(), copy.parent, read(copy), random.randrange(2**32), make_disk=cut)
        with delays() as longest:
            typist.start()
            while not os.waitpid(typist.pid, os.WNOHANG)[0]:
                time.sleep(0.002)
            end = time.monotonic()
        row.compare(typist, document, copy, end, allowed(0) + longest[0])
        shutil.rmtree(copy.parent)
    return row


def together(place: Path, tries: int, writers: int) -> Row:
    """So many processes begin sessions in one folder in the same second, and then all go on in one file."""
    row = Row(f"{writers} programs in one folder and one file")
    document = Document("abc")
    for number in range(tries):
        row.tries += 1
        folder = place / f"together-{writers}-{number}"
        folder.mkdir()
        start_at = time.monotonic() + 0.1
        found = None
        if number % 2:  # all have read one file
            path = folder / "auto-20260101-000000.json"
            write(path, state_of(document), automatic=True)
            found = read(path)
        typists = [
            Typist(document.copy(), folder, found, random.randrange(2**32), start_at=start_at, quit=30.0)
            for _ in range(writers)
        ]
        for typist in typists:
            typist.start()
        time.sleep(random.uniform(0.3, 0.8))
        for typist in typists:
            os.kill(typist.pid, signal.SIGUSR1)
        for typist in typists:
            os.waitpid(typist.pid, 0)
        row.struck += 1
        files = [read(each).state.document for each in folder.glob("*.json")]
        if len(files) != writers:
            row.lose(f"there are {len(files)} files")
        for typist in typists:
            count = max((call[0] for call in typist.calls()), default=0)
            if not any(last_saved(document, typist.seed, count, each) == count for each in files):
                row.lose("a text is in no file")
        shutil.rmtree(folder)
    return row


def clock_set_back(place: Path, tries: int) -> Row:
    """Sessions are begun while all that are there are dated later than now."""
    row = Row("clock set back, with more sessions than are kept")
    saved_sessions.MOST_AUTO = 20
    document = Document("abc")
    document.insert("work ")
    for number in range(tries):
        row.tries += 1
        folder = place / f"clock-{number}"
        folder.mkdir()
        for old in range(25):
            path = folder / f"auto-20990101-0000{old:02d}.json"
            write(path, state_of(document), automatic=True)
            os.utime(path, (4e9 + old, 4e9 + old))
        saver, played = SessionSaver(), document.copy()
        saver.begin(0, folder)
        for char in "ab cd":
            played.insert(char)
            saver.keep(0, state_of(played))
            time.sleep(random.choice((0.0, 0.05)))
            saved_sessions.forget_old(folder)  # as another program does it
        left = saver.close(30.0)
        mine = saver.status(0).path
        row.struck += 1
        saved_sessions.forget_old(folder)
        if left or mine is None or not mine.exists() or read(mine).state.document.text != played.text:
            row.lose("the session that was played is gone")
        shutil.rmtree(folder)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="so many kills, and as many quits, for each size")
    parser.add_argument("--cuts", type=int, default=100, help="power cuts")
    parser.add_argument("--together", type=int, default=20, help="tries with two and with three programs at once")
    parser.add_argument("--megabytes", type=float, nargs="+", default=[0.1, 1], help="of the sessions")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    random.seed(asked.seed)
    began, rows = time.monotonic(), []
    print(f"{'what':<58}{'tries':>6}{'typing':>9}{'missing':>12}{'lost':>6}")

    def tried(row: Row) -> None:
        rows.append(row)
        print(row, flush=True)

    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_STATE_HOME"] = str(Path(name) / "state")
        for number, megabytes in enumerate(asked.megabytes):
            place = Path(name) / str(number)
            place.mkdir()
            template = made_file(place, megabytes)
            tried(kills(template, asked.kills, quits=False))
            tried(kills(template, asked.kills, quits=True))
            tried(kills(template, max(1, asked.kills // 4), quits=True, leaves=True))
            template.unlink()
        tried(new_sessions(Path(name), asked.kills))
        for early in (False, True):
            place = Path(name) / f"cuts-{early}"
            place.mkdir()
            tried(cuts(place, asked.cuts // 2, early=early))
        for writers in (2, 3):
            tried(together(Path(name), asked.together, writers))
        tried(clock_set_back(Path(name), max(1, asked.together // 2)))
    print(f"{time.monotonic() - began:.0f} s")
    idle = [row.what for row in rows if row.struck < row.tries / 2]  # what never struck proves nothing
    if idle:
        print(f"nothing was typed in most tries of: {'; '.join(idle)}", file=sys.stderr)
    return 1 if idle or any(row.lost for row in rows) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
