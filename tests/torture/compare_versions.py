"""Do the same to a played text in version 0.2 and in this one, and compare text, cursor, branches and figures exactly.

``python tests/torture/compare_versions.py CHECKOUT`` with a checkout of version 0.2. Each side runs in a process of its
own. Settings and held cells stay the same within a sequence. Of branches the texts are compared, not the numbers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
SAMPLERS: tuple[dict[str, Any], ...] = (
    {}, {"temperature": 1.0, "min_p": None}, {"top_k": 5}, {"top_p": 0.9}, {"typical": 0.9}, {"mirostat": 3.0},
    {"repetition": 1.0, "repetition_length": 2}, {"temperature": 0.0},
)  # fmt: skip
PRIME = "abc"
FIGURES = ("id", "probability", "rank", "entropy", "kept", "source", "ids", "probabilities", "sampled")


class Old:
    """A text as version 0.2 plays it."""

    def __init__(self, model: Any, seed: int, sampler: dict[str, Any]) -> None:
        from charlstm.generation.editor import Editor  # type: ignore[import-not-found, unused-ignore]

        from charlstm.generation.sampling import SamplerSettings
        from charlstm.generation.session import Session

        self.session = Session(model, PRIME, seed=seed, settings=SamplerSettings(**sampler))
        self.editor = Editor(self.session)

    def stream(self, count: int) -> None:
        self.editor.record("generating")
        self.session.rewind(len(self.editor))
        for _ in range(count):
            self.session.step()

    def one(self) -> None:
        self.editor.step()

    def move(self, position: int) -> None:
        self.editor.move(position)

    def choose(self, position: int, char: str) -> None:
        self.editor.join()
        self.editor.record("choosing")
        self.session.rewind(position)
        self.session.choose(char)

    def insert(self, position: int, text: str) -> None:
        self.editor.insert(text, at=position)

    def undo(self) -> None:
        self.editor.undo()

    def redo(self) -> None:
        self.editor.redo()

    def numbers(self) -> dict[str, int]:
        """The branches by their texts."""
        texts: dict[str, int] = {}
        for number, branch in self.session.tree.items():
            parts, here, stop = [], branch, branch.stop
            while here is not None:
                parts.append(self.session.model.vocabulary.decode(here.slice(here.start, stop)["id"]))
                here, stop = here.parent, here.start
            texts.setdefault("".join(reversed(parts)), number)
        return texts

    def switch(self, number: int) -> None:
        self.editor.join()
        self.editor.record("switching branches")
        self.session.switch(number)

    def prune(self, number: int) -> None:
        if number:
            self.editor.prune(number)

    def state(self) -> tuple[str, int, str]:
        self.editor.join()
        return self.editor.text, self.session.position, digest(self.session.rows())


class New:
    """The same as this version plays it."""

    def __init__(self, model: Any, seed: int, sampler: dict[str, Any]) -> None:
        from charlstm.generation.document import Document
        from charlstm.generation.reader import Reader
        from charlstm.generation.sampling import SamplerSettings
        from charlstm.generation.session import Session

        session = Session(model, PRIME, seed=seed, settings=SamplerSettings(**sampler))
        self.document = Document(PRIME, seed=seed)
        self.reader = Reader(self.document, session)

    def stream(self, count: int) -> None:
        self.document.begin_generating()
        self.reader.read(len(self.document))
        for _ in range(count):
            self.reader.generate()

    def one(self) -> None:
        self.reader.read(len(self.document))
        self.document.begin_generating(joins=True)
        self.reader.generate()

    def move(self, position: int) -> None:
        self.document.move(len(PRIME) + position)

    def choose(self, position: int, char: str) -> None:
        self.document.branch_off(len(PRIME) + position, char, kind="choosing")

    def insert(self, position: int, text: str) -> None:
        self.document.branch_off(len(PRIME) + position, text, 1, kind="typing", whole=False)

    def undo(self) -> None:
        self.document.undo()

    def redo(self) -> None:
        self.document.redo()

    def numbers(self) -> dict[str, int]:
        texts: dict[str, int] = {}
        for number, branch in self.document.branches.items():
            texts.setdefault(branch.text.read(len(PRIME)), number)
        return texts

    def switch(self, number: int) -> None:
        self.document.switch(number)

    def prune(self, number: int) -> None:
        if number:
            self.document.prune(number)

    def state(self) -> tuple[str, int, str]:
        document, first = self.document, len(PRIME)
        self.reader.read(len(document))
        rows = self.reader.rows(first, len(document)).copy()
        rows["source"] = document.text.sources(first)
        return document.text.read(first), document.cursor - first, digest(rows)


def digest(rows: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(rows[name]).tobytes() for name in FIGURES)).hexdigest()[:16]


def play(side: type[Old | New], sequences: int, steps: int) -> None:
    """Print the state after each step of each sequence, a line each."""
    sys.path.insert(0, str(ROOT / "tests"))
    from recorded_run import tiny_model

    model = tiny_model(prime=PRIME)
    symbols = [char for char in model.vocabulary.symbols if char.isalpha()]
    for seed in range(sequences):
        numbers = random.Random(seed)
        text = side(model, seed, SAMPLERS[seed % len(SAMPLERS)])
        text.stream(20)
        for _ in range(steps):
            before = text.state()
            length = len(before[0])
            action = numbers.choice(
                ["stream", "one", "move", "choose", "insert", "undo", "undo", "redo", "switch", "prune"]
            )
            place, branches = numbers.randint(0, length), text.numbers()
            if action == "stream":
                text.stream(numbers.randint(1, 12))
            elif action == "move":
                text.move(place)
            elif action == "choose":
                text.choose(place, numbers.choice(symbols))
            elif action == "insert":
                text.insert(place, "".join(numbers.choices(symbols, k=numbers.randint(1, 5))))
            elif action in ("switch", "prune"):
                getattr(text, action)(branches[numbers.choice(sorted(branches))])
            else:
                getattr(text, action)()
            print(json.dumps([seed, action, *text.state(), sorted(text.numbers())]), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--side", choices=("old", "new"))
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    if options.side:
        play(Old if options.side == "old" else New, options.sequences, options.steps)
        return 0
    sizes = ["--sequences", str(options.sequences), "--steps", str(options.steps)]
    lines = []
    for side, root in (("old", options.checkout), ("new", ROOT)):
        command = [sys.executable, "-P", __file__, str(options.checkout), "--side", side, *sizes]
        environment = os.environ | {"PYTHONPATH": str(root / "core")}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
        lines.append([json.loads(line) for line in done.stdout.splitlines()])
    different: dict[int, str] = {}
    texts = 0
    for old, new in zip(*lines, strict=True):
        if old[:5] != new[:5] and old[0] not in different:
            different[old[0]] = f"sequence {old[0]}, {old[1]}:\n  {old[2:]}\n  {new[2:]}"
        texts += old[0] not in different and old[5] != new[5]
    print(*list(different.values())[:10], sep="\n")
    print(f"{len(lines[0]):,} steps of {options.sequences} sequences, {len(different)} sequences differ, "
          f"{texts} steps with other branches")  # fmt: skip
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
