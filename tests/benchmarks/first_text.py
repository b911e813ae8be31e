"""Measure the first minute: three Enters on a new machine, and how long it takes until there is text of real words.

    python tests/benchmarks/first_text.py [--text FILE] [--beside 2] [--rounds 1]

Starts the app in a pty, with an empty home and the text in the folder that it is started in. It presses Enter for the
text, for the preset ``quick`` and to play, each as soon as the screen offers it, and reads the screen until training
has ended and text of real words has been shown. That is text of at least 200 characters, most words of which occur in
the training text. Prints one line of JSON for each round: seconds from the first Enter to the first text and to the
first text of real words (``null`` if there was none), the share of real words in the last text, the steps of the models
that were played, in their order, whether the untrained network of step 0 was among them, and when training ended.

``--beside N`` starts N processes that keep a processor busy, of the same niceness as the app.
"""

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from _common import busy, default_text, parser_of

from charlstm.text.corpus import open_corpus
from terminal_app import Terminal, workers

LONGEST = 1800.0
"""Seconds after which a round is given up."""
ENOUGH_CHARS = 200
WORD = re.compile(r"[^\W\d_]+")
PLAYED = re.compile(r"@ (?:step )?([\d,]+)")
TEXT_ROWS = slice(5, -2)
"""The rows of the text in a terminal of 80 × 24: the bars and the prime stand above, legend and keys below."""


def words(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return [word.lower() for word in WORD.findall(text)]


def text_shown(app: Terminal) -> str:
    """The generated text that is on the screen; empty while there is none."""
    if "█ model" not in app.text:
        return ""
    rows = [row.split("│")[0].strip() for row in app.screen.display[TEXT_ROWS]]
    prime = next((row[7:].rsplit(" e edit", 1)[0].strip() for row in app.screen.display if "Prime  " in row), "")
    return " ".join(filter(None, rows)).removeprefix(prime)


def share_of_real_words(text: str, known: set[str]) -> float:
    """The share of words that are known. The first and the last one may be cut off."""
    found = words(text)[1:-1]
    return sum(word in known for word in found) / len(found) if found else 0.0


def measure(source: Path, known: set[str]) -> dict[str, object]:
    """One round in an empty home."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copy(source, home / source.name)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHARLSTM_", "XDG_"))}
        environment |= {"HOME": folder, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        app = Terminal([], home, environment)
        try:
            app.until(lambda: source.name in app.text and "Enter use" in app.text)
            begun = time.monotonic()
            app.key("enter", shows="Enter start")
            app.key("enter", shows="Enter play")
            app.key("enter")
            return read_screen(app, begun, known)
        finally:
            app.child.close(force=True)
            for process in workers(home):
                os.kill(process, signal.SIGKILL)


def read_screen(app: Terminal, begun: float, known: set[str]) -> dict[str, object]:
    """What comes on the screen, until training has ended and there was text of real words, or for a minute after it."""
    first = real = ended = None
    trains = False
    steps: list[int] = []
    share = 0.0
    while (now := time.monotonic() - begun) < LONGEST and app.read():
        text = text_shown(app)
        if text and (found := PLAYED.search(app.screen.display[1])):
            step = int(found[1].replace(",", ""))
            if step not in steps[-1:]:
                steps.append(step)
        if text and first is None:
            first = now
        if len(text) >= ENOUGH_CHARS:
            share = share_of_real_words(text, known)
            real = now if real is None and share > 0.5 else real
        trains = trains or "not training" not in app.text
        if ended is None and trains and "not training" in app.text:
            ended = now
        if ended is not None and (real is not None or now > ended + 60):
            break
    return {
        "first_text_s": None if first is None else round(first, 1),
        "real_words_s": None if real is None else round(real, 1),
        "share_of_real_words": round(share, 2),
        "steps": steps,
        "step_0_shown": 0 in steps,
        "training_ended_s": None if ended is None else round(ended, 1),
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--text", type=Path, help="a text file; usually a novel, else the Python reference")
    parser.add_argument("--beside", type=int, default=0, metavar="N", help="busy processes meanwhile")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # so that nothing is left running
    with tempfile.TemporaryDirectory() as folder:
        source = options.text or Path(default_text())
        corpus = open_corpus(str(source))
        if not source.is_file():
            source = Path(folder) / f"{source}.txt"
            source.write_text(corpus.text(), encoding="utf-8")
        known = set(words(corpus.text()))
        for _ in range(options.rounds):
            with busy(options.beside):
                result = measure(source, known)
            print(json.dumps({"text": source.name, "beside": options.beside, **result}), flush=True)


if __name__ == "__main__":
    main()
