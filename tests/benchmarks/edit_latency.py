"""Measures the time from a typed letter to its drawing, in texts of two lengths, with the real app in a pty.

    python tests/benchmarks/edit_latency.py [--keys 60] [--short 2000] [--long 200000] [--size 120x36] [--rounds 3]

The model does nothing, so that what is left is the app's own work for an edit: at the beginning, in the middle and at
the end of the text, in Write. Each letter is typed once in a text. The two lengths take turns. Prints one line of JSON
for each place: median and 99th percentile in milliseconds for both lengths, and the long text's median over the short
one's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from key_latency import TIMEOUT, App, percentile

from charlstm.generation.document import Document
from charlstm.generation.session_file import SessionState, SessionSummary, write
from charlstm.model.file import save_model
from recorded_run import tiny_model

PROGRAM = """
from charlstm.generation.stepper import Stepper
import numpy as np
Stepper._layers = lambda self, looked_up, state: None
Stepper.logits = lambda self, state, out=None: np.zeros((state.batch, self.vocab_size), np.float32)
from charlstm_tui.main import main
main()
"""
LETTERS = tuple(map(chr, range(0x410, 0x450)))
"""Letters that the text does not have: the Russian alphabet."""
WORDS = "abcdefgh      \n"
SYMBOLS = tuple(sorted({*WORDS, *LETTERS, *"The morning "}))


def session(folder: Path, model: Path, length: int, cursor: int) -> Path:
    """A saved session of words in lines, with the cursor at ``cursor``."""
    chance = random.Random(0)
    text = "".join(chance.choices(WORDS, k=length))
    document = Document("The morning ")
    document.insert(text)
    document.put_cursor(cursor)
    summary = SessionSummary(length, document.text.read(0, 80), edited=True, model=str(model))
    path = folder / f"text-{length}-{cursor}.json"
    state = SessionState(document, summary)
    write(path, state, automatic=True)
    return path


def measure(model: Path, saved: Path, size: tuple[int, int], keys: int) -> list[float]:
    """Milliseconds from each of ``keys`` letters to the letter on the screen."""
    app = App(["--model", str(saved)], size, PROGRAM)
    if not app.read(TIMEOUT, b"Write"):
        raise SystemExit("the app did not open")
    app.read(3.0)
    app.press("w")
    app.read(2.0)
    taken = []
    for number, letter in enumerate(LETTERS[:keys]):
        begin = time.perf_counter()
        app.press(letter)
        if not app.read(TIMEOUT, letter.encode()):
            raise SystemExit(f"the letter {letter} was not drawn: {app.seen[-2000:]!r}")
        taken.append(1000 * (time.perf_counter() - begin))
        app.read(0.05 + 0.0037 * (number % 11))  # so that keys come at different times within a frame
    app.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=60)
    parser.add_argument("--short", type=int, default=2000)
    parser.add_argument("--long", type=int, default=200_000)
    parser.add_argument("--size", default="120x36", help="columns x rows")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), name)
        model = folder / "model.safetensors"
        save_model(model, tiny_model(symbols=SYMBOLS))
        for place, share in (("start", 0.0), ("middle", 0.5), ("end", 1.0)):
            taken: dict[int, list[float]] = {options.short: [], options.long: []}
            for _ in range(options.rounds):
                for length, times in taken.items():
                    saved = session(folder, model, length, int(share * (length + 12)))
                    times += measure(model, saved, (columns, rows), options.keys)
            report: dict[str, object] = {"place": place}
            for length, times in taken.items():
                report[f"{length} characters"] = {
                    "median_ms": round(statistics.median(times), 1),
                    "p99_ms": round(percentile(times, 0.99), 1),
                }
            medians = [statistics.median(times) for times in taken.values()]
            print(json.dumps(report | {"ratio": round(medians[1] / medians[0], 2)}), flush=True)
    print(json.dumps({"load": os.getloadavg()[0], "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
