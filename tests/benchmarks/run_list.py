"""Measure the time from a key press to its effect in the list of many runs, with the real app in a pty.

    python tests/benchmarks/run_list.py [--runs 200] [--steps 2000] [--size 120x36] [--rounds 10]

Makes that many run folders, each with a log of that many steps, and moves, sorts, filters and marks in the list. Prints
one line of JSON. For each kind of key, in milliseconds: the median, the 99th percentile and the longest time until its
effect is on the screen; the first two again without the time that the app's main thread and this program waited for a
processor, as they would be if nothing else ran; and the median of the processor time that all threads of the app spent
until then and until the next key. ``load`` is what else the machine did. ``overlay`` opens the chart of 20 runs,
``curves_after_ms`` is how long it then was until all curves were on it, the first time and later. ``first_list`` is the
time from the command to the list, with these runs and with a single one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from key_latency import TIMEOUT, App, percentile

from charlstm.runs.filters import parse_filter, run_facts
from charlstm.runs.folder import Run, RunSpec, create_run, list_runs
from charlstm.runs.liveness import HeartbeatRecord
from charlstm.runs.notes import Notes
from charlstm.training.events import Event, Started, Stepped, Validated, to_line
from charlstm.training.settings import Settings

PROGRAM = "from charlstm_tui.main import main; main()"
UP, DOWN, ENTER, ESCAPE, BACKSPACE = "\x1b[A", "\x1b[B", "\r", "\x1b", "\x7f"
SORTS = ("best first", "name", "state", "largest", "newest")
"""What the key for another order says, in turn."""
OVERLAID = 20


def events(number: int, steps: int) -> Iterator[Event]:
    """The log of a run."""
    yield Started(
        step=0, time=0.0, planned_steps=steps, steps_per_epoch=200, parameters=800_000, train_chars=400_000,
        val_chars=40_000, device="cpu", kernel="fused-bf16", threads=2,
    )  # fmt: skip
    for step in range(1, steps + 1):
        loss = 1.3 + 0.01 * number + 2.8 * 0.999**step + 0.05 * ((step * 7919 + number) % 100) / 100
        yield Stepped(
            step=step, time=step * 0.05, epoch=step / 200, train_loss=loss, lr=3e-3, grad_norm=0.8,
            chars_per_second=21_000.0, train_seconds=step * 0.05,
        )  # fmt: skip
        if step % max(1, steps // 20) == 0:
            yield Validated(
                step=step, time=step * 0.05, val_loss=loss + 0.1, chars=40_000, best=True, train_seconds=step * 0.05
            )


def make_runs(folder: Path, number: int, steps: int) -> None:
    """Write run folders as a worker leaves them, whose names are three hexadecimal digits and their text's."""
    for place in range(number):
        text = ("anna", "novel", "tunes", "plays")[place % 4]
        spec = RunSpec(
            corpus={"name": f"{text}.txt", "sources": [f"/texts/{text}.txt"], "options": {}},
            settings=Settings(hidden_size=128 * (1 + place % 4), lr=1e-3 * (1 + place % 10)),
            preset=("quick", "standard", "long")[place % 3],
            created=time.time() - 3600 * place,
        )
        run = create_run(spec, name=f"{(place * 1597 + 291) % 4096:03x}-{text}", folder=folder)
        run.events_path.write_text("".join(to_line(event) + "\n" for event in events(place, steps)))
        beat = HeartbeatRecord(
            state=("finished", "stopped", "failed")[place % 3], step=steps, planned_steps=steps,
            best_val=1.4 + 0.01 * (place * 37 % 97), best_step=steps, train_seconds=steps * 0.05 + place,
        )  # fmt: skip
        run.heartbeat_path.write_bytes(beat.to_bytes())
        run.model_path.write_bytes(b"\0" * (1000 + place))


def matching(runs: list[Run], typed: str) -> int:
    """How many runs the app shows with this filter."""
    wanted = parse_filter(typed)
    specs = [(run, run.spec()) for run in runs]
    return sum(
        wanted.matches(run_facts(run, run.status(), spec.corpus_name, spec.preset, spec.settings, Notes(), 0))
        for run, spec in specs
    )


@dataclass
class Keys:
    """Presses keys of the app, and keeps how long it was until their effect was in its output."""

    app: App
    taken: dict[str, list[tuple[float, float, float, float]]] = field(default_factory=dict)

    def press(self, kind: str, key: str, effect: str) -> None:
        """Press a key; ``effect`` is what is shown then."""
        worked, waited, begin = processor_seconds(self.app.pid), waited_seconds(self.app.pid), time.perf_counter()
        self.app.press(key)
        if not self.app.read(TIMEOUT, effect.encode()):
            raise SystemExit(f"{kind}: the app did not show {effect!r} after {key!r}")
        taken, waited = time.perf_counter() - begin, waited_seconds(self.app.pid) - waited
        until_then = processor_seconds(self.app.pid) - worked
        known = self.taken.setdefault(kind, [])
        self.app.read(0.05 + 0.0037 * (len(known) % 11))  # so that keys come at different times in a frame
        in_all = processor_seconds(self.app.pid) - worked
        known.append((1000 * taken, 1000 * (taken - waited), 1000 * until_then, 1000 * in_all))

    def figures(self) -> dict[str, dict[str, object]]:
        """Milliseconds of each kind of key."""
        known = self.taken.items()
        return {
            kind: {
                "keys": len(wall),
                "median_ms": round(statistics.median(wall), 1),
                "p99_ms": round(percentile(wall, 0.99), 1),
                "max_ms": round(max(wall), 1),
                "alone_ms": [round(statistics.median(alone), 1), round(percentile(alone, 0.99), 1)],
                "processor_ms": [round(statistics.median(until_then), 1), round(statistics.median(in_all), 1)],
            }
            for kind, (wall, alone, until_then, in_all) in ((kind, zip(*each, strict=True)) for kind, each in known)
        }


def processor_seconds(pid: int) -> float:
    """What the threads of a process have used of the processor so far; 0 where the system does not tell."""
    total = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            total += int(file.read_text().split()[0])
    return total / 1e9


def waited_seconds(pid: int) -> float:
    """How long the main thread of a process, and this one, were ready but waited for a processor so far."""
    files = (Path(f"/proc/{pid}/task/{pid}/schedstat"), Path("/proc/self/schedstat"))
    return sum(int(file.read_text().split()[1]) for file in files if file.exists()) / 1e9


def move(keys: Keys, names: list[str], rounds: int) -> None:
    """Down through the list, and up again."""
    below = names[1 : 1 + 10 * rounds]
    for name in below:
        keys.press("move", DOWN, name)
    for name in reversed([names[0], *below[:-1]]):
        keys.press("move", UP, name)


def sort(keys: Keys, rounds: int) -> None:
    """Every order, in turn."""
    for _ in range(rounds):
        for words in SORTS:
            keys.press("sort", "s", f"sort: {words}")


def filter_runs(keys: Keys, count: Callable[[str], int], total: int, rounds: int) -> None:
    """Type filters by a name and by a setting, and remove them letter by letter."""

    def shown(typed: str) -> str:
        left = count(typed)
        return f"{total} runs" if left == total else f"{left} of {total} run"

    for turn in range(rounds):
        keys.app.press("/")
        keys.app.read(0.3)
        word = next(
            each for each in (f"{digit:x}{turn % 8}" for digit in range(16)) if 0 < count(each) < count(each[0])
        )
        typed = ""
        for letter in word:
            typed += letter
            keys.press("filter", letter, shown(typed))
        keys.press("filter", BACKSPACE, shown(word[:1]))
        keys.press("filter", BACKSPACE, shown(""))
        for letter in "lr<0.00":
            keys.app.press(letter)
            keys.app.read(0.1)
        keys.press("filter", str(2 + turn % 8), shown(f"lr<0.00{2 + turn % 8}"))
        keys.app.press(ESCAPE)
        keys.app.read(0.5)


def mark(keys: Keys, names: list[str], rounds: int) -> None:
    """Mark one after another, then all, then none."""
    for name in names[1 : 1 + rounds]:
        keys.press("mark", " ", "✓")
        keys.press("move", DOWN, name)
    for _ in range(rounds):
        keys.press("mark all", "a", "✓")
        keys.app.press("a")
        keys.app.read(0.3)


def overlay(keys: Keys, names: list[str], rounds: int) -> list[float]:
    """Open the chart of :data:`OVERLAID` runs and close it again. The first time their logs are read."""
    for _ in range(OVERLAID):  # too fast for the logs of the runs to be read
        keys.app.press(" ")
        keys.app.read(0.03)
        keys.app.press(DOWN)
        keys.app.read(0.03)
    read = []
    for _ in range(rounds):
        keys.press("overlay", "v", "smoothing:")
        begin = time.perf_counter()
        if f"{OVERLAID} runs over".encode() not in keys.app.seen and not keys.app.read(
            TIMEOUT, f"{OVERLAID} runs over".encode()
        ):
            raise SystemExit("the curves did not come")
        read.append(1000 * (time.perf_counter() - begin))
        keys.app.read(0.5)
        keys.press("overlay closed", "v", names[OVERLAID])
        keys.app.read(0.3)
    return [round(read[0], 1), round(statistics.median(read[1:]), 1)]


def started(runs_dir: Path, size: tuple[int, int], name: str) -> tuple[App, dict[str, float]]:
    """The app on a folder of runs once the list has this one, and how long that took."""
    begin = time.perf_counter()
    app = App(["--runs-dir", str(runs_dir)], size, PROGRAM)
    if not app.read(TIMEOUT, name.encode()):
        raise SystemExit("the app did not open")
    taken, worked = time.perf_counter() - begin, processor_seconds(app.pid)
    app.read(2.0)
    return app, {"s": round(taken, 3), "processor_s": round(worked, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--size", default="120x36", help="columns x rows")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), folder)
        runs_dir = Path(folder) / "runs"
        make_runs(runs_dir, 1, options.steps)
        app, with_one = started(runs_dir, (columns, rows), next(runs_dir.iterdir()).name)
        app.close()
        shutil.rmtree(runs_dir)
        make_runs(runs_dir, options.runs, options.steps)
        runs = list_runs(runs_dir)
        newest_first = [run.name for run in sorted(runs, key=lambda run: -run.spec().created)]
        counts: dict[str, int] = {}

        def count(typed: str) -> int:
            return counts.setdefault(typed, matching(runs, typed)) if typed not in counts else counts[typed]

        app, with_all = started(runs_dir, (columns, rows), newest_first[0])
        keys = Keys(app)
        move(keys, newest_first, min(options.rounds, (options.runs - 2) // 10))
        sort(keys, options.rounds)
        filter_runs(keys, count, options.runs, options.rounds)
        mark(keys, newest_first, options.rounds)
        app.press(ESCAPE)
        app.read(0.3)
        curves = overlay(keys, newest_first[options.rounds :], options.rounds)
        app.close()
    report = {"runs": options.runs, "steps": options.steps, "size": options.size}
    report |= {"first_list": {"all": with_all, "one": with_one}, **keys.figures(), "curves_after_ms": curves}
    print(json.dumps(report | {"load": os.getloadavg()[0], "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
