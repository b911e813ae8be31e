"""Measure keys that come close together in Write, with the real app in a pty: today's and other versions in turns.

    python tests/benchmarks/key_bursts.py [--other CLONE/.venv/bin/python ...] [--rounds 3] [--text FILE]

Each app plays the model in the box, in a terminal of 100 × 30, and gets a text of 20,000 characters pasted. A burst is
300 times the right arrow, 300 letters, or 60 edits (Ctrl+Home, up to 39 arrows, a letter), each with a last letter
behind it. The time until that letter is in the output is divided by the number of keys, or of edits; ``single`` is such
a letter alone. Then an arrow is held: ``still_ms`` is the time from the last of 300 keys at 60 a second to the last
output. ``quit_ms`` is the time from 400 edits with Ctrl+Q behind them to the end of the program. Prints one line of
JSON for each version and round, and the ratios of the medians. ``load`` is the load of the machine.
"""

import itertools
import json
import os
import random
import select
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from _common import empty_home, parser_of
from key_latency import App

SIZE = (100, 30)
RIGHT, CTRL_HOME = "\x1b[C", "\x1b[1;5H"
MARKS = "ΩΨΦΣΠΞΛΘΔΓБДЖЗИЛФЦЧШЩЪЫЭЮЯ"
"""Letters that are nowhere else on the screen: the last one of a burst."""
PROGRAM = "from charlstm_tui.main import main; main()"


def edits(count: int, seed: int = 0) -> str:
    """So many edits: to the beginning, some characters on, a letter."""
    draw = random.Random(seed)
    return "".join(CTRL_HOME + RIGHT * draw.randrange(40) + draw.choice("abcdefgh") for _ in range(count))


BURSTS = {"single": ("", 1), "arrow": (RIGHT * 300, 300), "letter": ("abcdefg hi" * 30, 300), "edit": (edits(60), 60)}


class Writer(App):
    """The app in Write, with a text in it."""

    def __init__(self, python: str, text: str) -> None:
        super().__init__(["--model", "demo"], SIZE, PROGRAM, python)
        if not self.read(60, b"0.80"):
            raise SystemExit("the app did not open")
        self.read(1.0)
        for key in (" ", "w"):  # stops, and writes
            self.press(key)
            self.read(1.0)
        self.paste(text)
        self.wait_until_still()

    def paste(self, text: str) -> None:
        """Send a paste in parts, reading what the app answers meanwhile."""
        data, sent = f"\x1b[200~{text}\x1b[201~".encode(), 0
        while sent < len(data):
            readable, writable, _ = select.select([self.fd], [self.fd], [], 10)
            if readable:
                os.read(self.fd, 1 << 16)
            if writable:
                sent += os.write(self.fd, data[sent : sent + 1024])

    def wait_until_still(self, seconds: float = 1.5) -> float:
        """Wait until there was no output for so long. Returns when the last output came."""
        last = time.perf_counter()
        while select.select([self.fd], [], [], seconds)[0]:
            os.read(self.fd, 1 << 16)
            last = time.perf_counter()
        return last

    def burst(self, keys: str, mark: str) -> float:
        """Milliseconds from ``keys`` and a last letter to that letter in the output."""
        self.press(CTRL_HOME)
        self.wait_until_still()
        begin = time.perf_counter()
        self.press(keys + mark)
        if not self.read(120, mark.encode()):
            raise SystemExit("a burst was not handled in time")
        taken = 1000 * (time.perf_counter() - begin)
        self.wait_until_still()
        return taken

    def hold(self, key: str, seconds: float = 5.0, rate: int = 60) -> float:
        """Milliseconds from the last of the keys, which come at ``rate`` a second, to the last output."""
        self.press(CTRL_HOME)
        self.wait_until_still()
        begin = time.perf_counter()
        for number in range(int(seconds * rate)):
            self.read(max(0.0, begin + number / rate - time.perf_counter()))
            os.write(self.fd, key.encode())
        released = time.perf_counter()
        return max(0.0, 1000 * (self.wait_until_still(0.5) - released))

    def quit_after(self, keys: str) -> float:
        """Milliseconds from ``keys`` with Ctrl+Q behind them to the end of the program."""
        begin = time.perf_counter()
        self.press(keys)
        self.quit()
        return 1000 * (time.perf_counter() - begin)


def measure(python: str, text: str, marks: Iterator[str]) -> dict[str, float]:
    app = Writer(python, text)
    report = {name: round(app.burst(keys, next(marks)) / count, 2) for name, (keys, count) in BURSTS.items()}
    report["still_ms"] = round(app.hold(RIGHT))
    report["quit_ms"] = round(app.quit_after(edits(400, seed=1)))
    return report


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--other", action="append", default=[], metavar="PYTHON", help="of another version")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--text", type=Path, help="a text; without one, words are made up")
    options = parser.parse_args()
    draw = random.Random(0)
    words = (" ".join("".join(draw.choices("etaoinshrdlu", k=draw.randrange(2, 9))) for _ in range(4000)),)
    text = (words[0] if options.text is None else options.text.read_text("utf-8"))[:20_000]
    versions, marks = [sys.executable, *options.other], itertools.cycle(MARKS)
    results = dict[str, list[dict[str, float]]]()
    for _ in range(options.rounds):
        for python in versions:
            with empty_home():
                results.setdefault(python, []).append(report := measure(python, text, marks))
            print(json.dumps({"python": python, **report, "load": round(os.getloadavg()[0], 2)}), flush=True)
    medians = {
        python: {name: statistics.median(each[name] for each in found) for name in found[0]}
        for python, found in results.items()
    }
    for python in options.other:
        ratios = {
            name: round(medians[sys.executable][name] / (value or 1), 2) for name, value in medians[python].items()
        }
        print(json.dumps({"today divided by": python, **ratios}))


if __name__ == "__main__":
    main()
