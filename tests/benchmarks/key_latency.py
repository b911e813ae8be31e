"""Measure the time from a key press to its effect on the screen while text streams, with the real app in a pty.

    python tests/benchmarks/key_latency.py [--keys 200] [--size 120x36] [--hidden 512]

Plays a random 2-layer model paused, at 60 characters per second and at full speed, and at 60 characters per second in
the view Cells, which colours each character by a cell. Each key changes the temperature, or in Cells the value at which
the cell is held; the time until the new value is in the output of the app is measured. Prints one line of JSON: median
and 99th percentile in milliseconds. No training should run meanwhile; ``load`` is the load of the machine.
"""

import contextlib
import fcntl
import json
import math
import os
import pty
import re
import select
import statistics
import struct
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from _common import empty_home, parser_of

from charlstm.model.file import save_model
from charlstm_tui.app_state import save_state
from charlstm_tui.player.preferences import Preferences
from recorded_run import tiny_model

CELLS = "60 a second, cells shown"
SPEEDS = {"rest": 0.0, "60 a second": 60.0, "full": math.inf, CELLS: 60.0}
TIMEOUT, CTRL_Q = 30.0, "\x11"
# Without the automatic pause, so that the app streams all the time.
PROGRAM = """
from charlstm_tui.main import main
from charlstm_tui.player import text_player
text_player.PAUSE_AFTER = 10**9
main()
"""


class App:
    """The app in a pty. Its output is searched but not drawn, because drawing would take longer than the app itself."""

    def __init__(
        self, arguments: Sequence[str], size: tuple[int, int], program: str = PROGRAM, python: str = sys.executable
    ) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execv(python, [python, "-c", program, *arguments])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.seen = b""

    def press(self, key: str) -> None:
        self.seen = b""
        os.write(self.fd, key.encode())

    def read(self, seconds: float, until: bytes | None = None) -> bool:
        """Read output for so many seconds, or until it contains ``until``; returns whether it does."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                # Two reads can split a number, so all output since the key is kept.
                self.seen += os.read(self.fd, 1 << 16)
                if until is not None and until in self.seen:
                    return True
        return until is None

    def quit(self) -> None:
        """Press Ctrl+Q, and wait for the end of the program."""
        os.write(self.fd, CTRL_Q.encode())
        with contextlib.suppress(OSError):  # on Linux, when the other end is closed
            while os.read(self.fd, 1 << 16):
                pass
        os.waitpid(self.pid, 0)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that is not exceeded by at least the fraction ``share`` of them."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def measure(model: Path, size: tuple[int, int], keys: int, in_cells: bool = False) -> dict[str, float]:
    """Milliseconds from ``keys`` key presses to their effects, and the speed of the text."""
    app = App(["--model", str(model)], size)
    if not app.read(TIMEOUT, b"0.80"):
        raise SystemExit("the app did not open")
    up, down = ("T", b"0.85"), ("t", b"0.80")
    if in_cells:
        app.read(5.0)  # for a text that is long enough to name cells on it
        app.press("x")
        if not app.read(TIMEOUT, b"named on"):
            raise SystemExit("no cells were named")
        app.press(" ")
        up, down = ("+", b" at 0.5"), ("-", b" at 0 ")  # where the cell is held
    app.read(2.0)
    taken = []
    for number in range(keys):
        key, effect = down if number % 2 else up
        begin = time.perf_counter()
        app.press(key)
        if not app.read(TIMEOUT, effect):
            raise SystemExit("a key had no effect in time")
        taken.append(1000 * (time.perf_counter() - begin))
        app.read(0.03 + 0.0037 * (number % 11))  # so that keys come at different times within a frame
    app.seen = b""
    app.read(1.2)
    rates = re.findall(rb"([\d,]+) ch/s", app.seen)
    app.quit()
    return {
        "median_ms": round(statistics.median(taken), 1),
        "p99_ms": round(percentile(taken, 0.99), 1),
        "max_ms": round(max(taken), 1),
        "chars_per_second": int(rates[-1].replace(b",", b"")) if rates else 0,  # not shown in Cells
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--size", default="120x36", help="columns x rows")
    parser.add_argument("--hidden", type=int, default=512)
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    report: dict[str, object] = {"keys": options.keys, "size": options.size, "model": f"2x{options.hidden}"}
    with empty_home() as folder:
        model = folder / "random.safetensors"  # the speed does not depend on the weights
        save_model(model, tiny_model(hidden_size=options.hidden, num_layers=2, scale=0.16, prime="The morning "))
        for name, speed in SPEEDS.items():
            save_state({"preferences": Preferences(speed=speed).to_dict()})
            report[name] = measure(model, (columns, rows), options.keys, name == CELLS)
    report |= {"load": os.getloadavg()[0], "cores": os.cpu_count()}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
