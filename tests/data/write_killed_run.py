"""Write a run that was killed while it trained, as the version in a checkout leaves it, and how that version goes on.

    python tests/data/write_killed_run.py CHECKOUT FOLDER

writes into FOLDER ``text.txt``, which the run has as /home/reader/text.txt; ``run``, killed some steps after a
checkpoint, with a ``set-lr`` before that; and ``continued.jsonl``, the log after a copy of it was resumed to its end.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = ("the", "a", "old", "red", "boat", "went", "over", "under", "water", "and", "hill,", "morning", "came", "with",
         "rain;", "nobody", "saw", "café", "lights", "–", "again")  # fmt: skip
SETTINGS = {
    "hidden_size": 12, "num_layers": 1, "batch_size": 48, "seq_length": 32, "max_steps": 320, "max_minutes": "none",
    "dropout": 0.2, "weight_drop": 0.1, "ema_decay": 0.9, "val_every": 20,
    "checkpoint_steps": 200, "threads": 1, "kernel": "fused", "precision": "float32", "seed": 5,
}  # fmt: skip
KEPT = ("run.json", "events.jsonl", "control.jsonl", "heartbeat", "state.safetensors", "model.safetensors")


def text(length: int = 20_000) -> str:
    """Random words of random lines."""
    numbers, lines = random.Random(3), list[str]()
    while sum(map(len, lines)) < length:
        line = " ".join(numbers.choices(WORDS, k=numbers.randint(4, 12)))
        lines.append(line.capitalize() + numbers.choice(".!?") + "\n")
    return "".join(lines)


def log(run: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines(keepends=True) if line[-1:]]
    except (OSError, ValueError):  # not there yet, or a line is being written
        return []


def main(checkout: Path, folder: Path) -> None:
    home = Path(tempfile.mkdtemp())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": f"{checkout / 'core'}:{checkout / 'tui'}",
    }
    command = [sys.executable, "-P", "-m", "charlstm"]
    source, run = home / "text.txt", home / "runs" / "killed"
    source.write_text(text(), encoding="utf-8")
    words = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    train = [*command, "train", str(source), "--name", "killed", "--runs-dir", str(run.parent), *words]
    worker = subprocess.Popen(train, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any(event["step"] > 0 for event in log(run)) and worker.poll() is None:
        time.sleep(0.01)
    control = [*command, "control", str(run), "set-lr", "0.002"]
    subprocess.run(control, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    saved, step = [], 0
    while worker.poll() is None and (not saved or step < saved[-1] + 20):
        time.sleep(0.001)
        events = log(run)
        saved = [event["step"] for event in events if event["event"] == "checkpoint" and event["step"] > 0]
        step = max([event["step"] for event in events], default=0)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    changed = [event["step"] for event in log(run) if event["event"] == "control"]
    assert 0 < changed[0] < saved[-1] < 320, (changed, saved)
    kept = folder / "run"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for name in KEPT:
        shutil.copy(run / name, kept / name)
    record = (kept / "run.json").read_text(encoding="utf-8").replace(str(source), "/home/reader/text.txt")
    (kept / "run.json").write_text(record, encoding="utf-8")
    beat = json.loads((kept / "heartbeat").read_bytes()) | {"host": "pc"}
    (kept / "heartbeat").write_text(json.dumps(beat, separators=(",", ":")).ljust(1024))
    assert not any(str(home).encode() in (kept / name).read_bytes() for name in KEPT)
    shutil.copy(source, folder / "text.txt")
    subprocess.run(
        [*command, "resume", str(run)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    shutil.copy(run / "events.jsonl", folder / "continued.jsonl")
    print(f"changed at {changed}, saved at {saved}, killed after {max(event['step'] for event in log(kept))}")
    shutil.rmtree(home)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
