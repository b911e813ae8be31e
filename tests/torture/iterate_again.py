"""Closes a trainer's iterator everywhere, iterates again, and compares with the trainer that was iterated once.

``python tests/torture/iterate_again.py [--random N]`` prints a table and fails when anything differs: the events, what
the store was given and in which order, every tensor of the last exact state. The run is paused, its rate is changed, it
checkpoints, and the disk is full for a while; both kernels train it. It is closed once after each of its events in
turn, after each of them in one run, and at random ones, with a refused second iterator beside the first.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from charlstm.engine.kernels import fast_bfloat16
from charlstm.engine.trainer import Trainer
from charlstm.errors import RunError
from charlstm.training.events import Event, Finished, Stepped
from charlstm.training.hooks import Hooks
from charlstm.training.settings import Settings
from small_training import MemoryStore, ScriptedCommands, log_of, make_corpus, make_plan, words

SETTINGS = Settings(
    hidden_size=16, num_layers=2, batch_size=4, seq_length=16, max_steps=60, device="cpu", kernel="nn", threads=1,
    dropout=0.2, weight_drop=0.1, ema_decay=0.9, calibrate=True, state_reset=0.05, val_every=7, val_chars=200,
    checkpoint_steps=9,
)  # fmt: skip
COMMANDS: dict[int, list[tuple[str, float | None]]] = {
    8: [("checkpoint", None), ("set-lr", 1e-3)],
    20: [("pause", None), ("checkpoint", None), ("resume", None)],
    44: [("finish", None)],
}
FULL_AT = 32
"""The step after which the disk refuses three writes."""

CORPUS = make_corpus(words(1200))
Told = tuple[list[str], list[str], list[tuple[int, dict[str, bytes]]]]


def trained(settings: Settings, kernel: str, cuts: Callable[[], Iterator[int]], *, beside: bool = False) -> Told:
    """The run, each of its iterators closed after so many events as ``cuts`` gives, the last one exhausted."""
    store, commands = MemoryStore(), ScriptedCommands(COMMANDS)
    plan = make_plan(kernel=kernel, threads=settings.threads)
    trainer = Trainer(CORPUS, settings, store=store, plan=plan, hooks=Hooks(commands=commands))
    trainer._finish_steps = lambda: 12  # type: ignore[method-assign]
    events: list[Event] = []

    def take(stream: Iterator[Event], most: int) -> None:
        for _ in range(most):
            if (event := next(stream, None)) is None:
                return
            commands.see(event)
            events.append(event)
            if isinstance(event, Stepped) and event.step == FULL_AT:
                store.trouble = [OSError(errno.ENOSPC, "No space left on device")] * 3
            if beside:
                try:
                    next(trainer.events())
                except RunError:
                    continue
                raise AssertionError("a second iterator was not refused")

    for count in cuts():
        stream = trainer.events()
        take(stream, count)
        stream.close()
    take(trainer.events(), 10**9)
    if not isinstance(events[-1], Finished) or list(trainer.events()):
        raise AssertionError("it did not end with its end")
    # when a write ends is the disk's business, and so where the events that say so stand among the others
    names = [event.name for event in events if event.name in ("control", "started", "finished")]
    states = [(state.step, {name: array.tobytes() for name, array in state.tensors.items()}) for state in store.states]
    lines = [line for line in log_of(events) if '"event": "resumed"' not in line]
    return lines + names, store.order, states


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=150, help="runs that are closed at random events, a kernel each")
    parser.add_argument("--every", type=int, default=1, help="close after each so many-th event, in a run of its own")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    random.seed(asked.seed)
    began = time.monotonic()
    torch.set_num_threads(1)
    fused = "fused-bf16" if fast_bfloat16() else "fused-f32"
    lost = 0
    print(f"{'what':<64}{'runs':>6}{'different':>11}")
    with tempfile.TemporaryDirectory() as place:
        os.environ["CHARLSTM_CACHE"] = place
        for kernel, threads in (("nn", 1), (fused, 2)):
            settings = SETTINGS.with_changes(kernel="nn" if kernel == "nn" else "fused", threads=threads)
            whole = trained(settings, kernel, lambda: iter(()))
            events = len(whole[0]) + 30  # checkpoints and pauses are not among the compared ones

            def at_random() -> Iterator[int]:
                for _ in range(random.choice((1, 3, 10, 40))):
                    yield random.choice((0, 1, 1, 2, 5, 20))

            kinds: dict[str, list[Callable[[], Iterator[int]]]] = {
                "again after one event": [lambda n=n: iter((n,)) for n in range(0, events, asked.every)],
                "again after every event": [lambda count=events: iter([1] * count)],
                "again at random": [at_random] * asked.random,
            }
            for what, runs in kinds.items():
                different = 0
                for number, cuts in enumerate(runs):
                    found = trained(settings, kernel, cuts, beside=number % 4 == 3)
                    if found != whole:
                        different += 1
                        print(f"{what}, {number}: {_first_difference(found, whole)}", file=sys.stderr)
                lost += different
                row = f"trainer iterated {what}, {kernel} on {threads}"
                print(f"{row:<64}{len(runs):>6}{different:>11}", flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if lost else 0


def _first_difference(found: Told, whole: Told) -> str:
    for ours, theirs in zip(found[0] + found[1], whole[0] + whole[1], strict=False):
        if ours != theirs:
            return f"{ours[:200]} instead of {theirs[:200]}"
    return "the exact states"


if __name__ == "__main__":
    sys.exit(main())
