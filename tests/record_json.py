"""Call every command that has --json, and write what it printed, or compare it with what was written.

    python tests/record_json.py             # writes tests/data/json_0_3.json
    python tests/record_json.py --compare   # prints what is different from it

A tool for work that makes these outputs in another way: version 0.3 wrote the file. The commands run in a folder and a
home of their own, with a small run that they train. What differs from time to time is masked by its type; numbers have
three digits, and are compared with a tolerance. Takes a minute or two.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
RECORD = DATA / "json_0_3.json"
SMALL = """
hidden_size = 12
num_layers = 1
batch_size = 16
seq_length = 24
max_minutes = "none"
threads = 1
device = "cpu"
kernel = "fused"
precision = "float32"
log_every = 10
val_every = 20
checkpoint_steps = 20
seed = 3
"""
CALLS = """
corpora
stats data/text.txt
presets
presets --settings
presets data/text.txt
train data/text.txt --name small --settings-file small.toml --max-steps 40
resume small --max-steps 60
watch small
runs
tag small good
note small 'a note'
rename small little
compare little killed
info little
generate little --length 20 --prime 'The '
generate little --length 20 --samples 2
generate little --length 3 --show-probs
generate little --length 10 --checkpoints
generate little --length 10 --checkpoints --out page.html
session session.json
session session.json --out text.md
eval little
eval little data/text.txt --max-chars 99
eval little data/text.txt --max-chars 99 --dynamic
score little data/text.txt --max-chars 60
score little data/text.txt --max-chars 60 --dynamic
novelty text.md --model little --min-length 10 --top 2
cells little data/text.txt --max-chars 2000
cells little data/text.txt --max-chars 2000 --probe 'after a sentence'
cells little data/text.txt --max-chars 2000 --snapshots
cells little data/text.txt --max-chars 20 --show 1:2
influence little data/text.txt --max-chars 30
influence little data/text.txt --max-chars 2000 --find rain --rank --back 20
context little data/text.txt --max-chars 2000 --places 20
context little data/text.txt --max-chars 500 --at 400
multiverse little --prime 'The ' --depth 3 --cutoff 0.1
multiverse little --prime 'The ' --words 2
report little data/text.txt --max-chars 2000 --out report.html
export little --to script --out little.net
import little.net --out again.safetensors
config path
config show
config init
config check
doctor
paths
cache
cache prune
train data/text.txt --name long --settings-file small.toml --max-steps 50000 --detach
control long set-lr 0.001 --wait
control long pause --wait
control long resume --wait
control long more 1
control long stop --wait
resume long --detach
control long finish
control long stop --wait
delete long --yes
evil little
generate little --length x
generate little --top-k 0
generate little --clamp 1
generate little --prime-file nowhere
multiverse little --prime the --clamp 9:9=0
cells little data/text.txt --show first
stats nowhere.txt
info nowhere.safetensors
train data/text.txt --lr -1
watch nobody
resume little
control little stop
control little set-lr -1
session text.md
"""
ALWAYS = {
    "time", "seconds", "train_seconds", "work_seconds", "seconds_left", "chars_per_second", "slowdown",
    "crowded", "created", "id", "bytes", "memory_bytes", "model_bytes", "versions", "freed", "fingerprint",
    "finished", "started", "saved",
}  # fmt: skip
"""Fields that differ from time to time or from machine to machine."""
SOMETIMES = {
    "presets data": {"steps", "epochs", "kernel", "precision", "settings"},
    "corpora": {"chars", "name", "about"},  # what this Python includes
    "doctor": {"program", "machine", "terminal", "training", "folders", "configuration", "notes"},
    "control long": {"step"},
    "cache": {"texts"},
}
"""The same in the outputs of commands that begin so."""
EVENTS = ("train", "resume", "watch")
TOLERANCE = 0.02


def masked(value: Any, names: set[str], folder: str, name: str = "") -> Any:
    """``value`` without what is in a field of ``names``, and without the name of the folder."""
    if isinstance(value, dict):
        names = names | value.keys() if name in names else names
        return {key: masked(each, names, folder, key) for key, each in value.items()}
    if name in names and value is not None:
        return f"<{type(value).__name__}>"
    if isinstance(value, list):
        return [masked(each, names, folder) for each in value]
    if isinstance(value, str):
        return value.replace(folder, "FOLDER")
    if isinstance(value, float):
        return float(f"{value:.3g}")
    return value


def events(lines: list[str]) -> list[dict[str, Any]]:
    """One object a line. A thread of its own reports checkpoints, at whatever time: they are put last."""
    return sorted(map(json.loads, lines), key=lambda event: event.get("event") == "checkpoint")


def call(words: list[str], folder: Path) -> dict[str, Any]:
    """The exit code of a command, and what it printed as JSON, masked: one object, or several for as many lines."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "CHARLSTM_RUNS": str(folder / "runs")}
    command = [sys.executable, "-P", "-m", "charlstm", *words, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()[-1:] if done.returncode else done.stdout.splitlines()
    try:
        value = events(lines) if words[0] in EVENTS and not done.returncode else json.loads("".join(lines))
    except ValueError:
        value = lines
    begins = " ".join(words)
    names = ALWAYS.union(*(fields for start, fields in SOMETIMES.items() if begins.startswith(start)))
    return {"code": done.returncode, "stderr" if done.returncode else "stdout": masked(value, names, str(folder))}


def record() -> dict[str, Any]:
    """What every command prints, by its words."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        text = folder / "data" / "text.txt"
        text.parent.mkdir()
        shutil.copy(DATA / "version_0_2" / "text.txt", text)
        shutil.copy(DATA / "version_0_3" / "edited.json", folder / "session.json")
        (folder / "small.toml").write_text(SMALL)
        killed = folder / "runs" / "killed"
        shutil.copytree(DATA / "version_0_3" / "run", killed)
        (killed / "heartbeat").unlink()  # it is of another machine
        found = (killed / "run.json").read_text(encoding="utf-8").replace("/home/reader/text.txt", str(text))
        (killed / "run.json").write_text(found, encoding="utf-8")
        return {line: call(shlex.split(line), folder) for line in CALLS.strip().splitlines()}


def differences(old: Any, new: Any, where: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from differences(old.get(name, "(missing)"), new.get(name, "(missing)"), f"{where}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{where}[{place}]")
    elif isinstance(old, float) and isinstance(new, float):
        if not math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=TOLERANCE / 10):
            yield f"{where}: {old} → {new}"
    elif old != new or type(old) is not type(new):
        yield f"{where}: {json.dumps(old, ensure_ascii=False)[:200]} → {json.dumps(new, ensure_ascii=False)[:200]}"


def main() -> int:
    new = record()
    if sys.argv[1:] != ["--compare"]:
        lines = (f"{json.dumps(words)}: {json.dumps(value, ensure_ascii=False)}" for words, value in new.items())
        RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return 0
    found = list(differences(json.loads(RECORD.read_text(encoding="utf-8")), new, ""))
    print(*found, f"{len(new)} commands, {len(found)} differences", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
