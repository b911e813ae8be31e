"""Measures saving and opening sessions: ``python tests/benchmarks/session_saving.py [--megabytes 0.02 1 100]``.

- Appending a typed word: JSON, checksum, a look whether the file is still the same, and the write; no sync.
- What the player's thread does for it: taking the journal and ``SessionSaver.save``.
- The size of a file after 1,000 one-letter edits in 20,000 characters, and after undoing all of them, against that of
  the same text put in at once.
- Opening: the summary for a list, the document alone, with what the model had read, and as a session of the library.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "torture"))

from kill_sessions import SYMBOLS, made_file, state_of

from charlstm.generation.document import Document
from charlstm.generation.saved_state import load
from charlstm.generation.saving import copy_tree, load_session, read_summary
from charlstm.generation.session import Session
from charlstm.generation.session_log import SessionLog, changes, read
from charlstm_tui.player.session_saver import SessionSaver
from played_documents import about
from recorded_run import tiny_model

MODEL = tiny_model(symbols=SYMBOLS, hidden_size=4)
TEXT = "".join(random.Random(1).choices("abcde fgh ij\n", k=20_000))


def milliseconds(seconds: Iterable[float]) -> str:
    """Median, 99th percentile and maximum."""
    sorted_ = sorted(1000 * each for each in seconds)
    return f"{statistics.median(sorted_):.2f} / {sorted_[int(0.99 * len(sorted_))]:.2f} / {sorted_[-1]:.2f} ms"


def timed(do: Callable[[], object]) -> float:
    begin = time.perf_counter()
    do()
    return time.perf_counter() - begin


def size_of(path: Path, megabytes: float) -> None:
    """Appending to and opening a file of so many megabytes."""
    print(f"\nsession of {path.stat().st_size / 1e6:.2f} MB (median / 99 % / longest)")
    times = {
        "summary for a list": lambda: read_summary(path),
        "document": lambda: read(path),
        "document, and what the model had read": lambda: load(path, MODEL),
        "session of the library": lambda: load_session(path, MODEL),
    }
    for what, do in times.items():
        print(f"  {what:<48}{1000 * min(timed(do) for _ in range(3)):>9.1f} ms")
    found = read(path)
    document = found.state.document
    log = SessionLog.open(found.seen)
    appended = []
    for word in ["some ", "words ", "of ", "a ", "text "] * 200:
        document.insert(word)
        record, summary = changes(document.take_journal()), about(document)
        appended.append(timed(lambda record=record, summary=summary: log.append(record, summary)))
    print(f"  {'appending a word':<48}{milliseconds(appended)}")
    print(f"  {'syncing it':<48}{milliseconds(timed(log.sync) for _ in range(5))}")
    print(f"  {'copying the document':<48}{milliseconds(timed(document.copy) for _ in range(20))}")
    compacted = timed(lambda: log.compact(replace(found.state, document=document)))
    print(f"  {'compacting, beside other threads':<48}{1000 * compacted:>9.1f} ms")
    log.close()
    saver, taken = SessionSaver(), []
    saver.go_on(0, path.parent, state_of(document), read(path).seen)
    for word in ["some ", "words ", "of ", "a ", "text "] * 40:
        document.insert(word)
        begin = time.perf_counter()
        saver.save(0, document.take_journal(), summary=about(document))
        taken.append(time.perf_counter() - begin)
        time.sleep(0.002)
    saver.close(10.0)
    print(f"  {'the same for the thread that calls save()':<48}{milliseconds(taken)}")


def edits(place: Path) -> None:
    """1,000 edits in 20,000 characters, and undoing all of them."""
    print("\n1,000 one-letter edits at random places of 20,000 characters, and undoing all of them")
    sizes = {}
    for what in ("put in at once", "edited"):
        chance, document = random.Random(2), Document("abc")
        log = SessionLog.create(place / f"{what}.json", state_of(document))
        largest = log.size

        def save(log: SessionLog = log, document: Document = document) -> None:
            nonlocal largest
            log.append(changes(document.take_journal()), about(document))
            largest = max(largest, log.size)
            if log.is_long:
                log.compact()

        document.insert(TEXT)
        save()
        if what == "edited":
            for _ in range(1000):
                at = chance.randrange(len(document))
                document.replace(at, at, chance.choice("abc"))
                save()
            for _ in range(1000):
                document.undo()
                save()
            assert document.text.read(3) == TEXT
        log_only = log.size
        session = Session(MODEL, "abc")
        session.type(document.text.read(3))
        log.compact(replace(state_of(document), cache=copy_tree(session)))
        sizes[what] = (largest, log_only, log.size)
        log.close()
    for what, (largest, log_only, with_figures) in sizes.items():
        print(
            f"  {what:<20}largest before compacting {largest:>9,}, at the end {log_only:>9,}, "
            f"with figures {with_figures:>9,} bytes"
        )
    ratios = [one / other for one, other in zip(sizes["edited"], sizes["put in at once"], strict=True)]
    print(f"  edited / at once: {ratios[0]:.2f}, {ratios[1]:.2f}, {ratios[2]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[0.02, 1, 100])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        edits(Path(name))
        for megabytes in asked.megabytes:
            size_of(made_file(Path(name), megabytes), megabytes)
            for path in Path(name).glob("*.json"):
                path.unlink()


if __name__ == "__main__":
    main()
