"""Make the runs of the lesson again: python checkpoints/make_lesson.py FOLDER OUT

Writes the texts (``lesson_texts.py``), trains a small network on each, and packs the runs, with their texts and with
weights in float16, into the zip file OUT. Exact states are left out, so these runs cannot be continued, only read.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from unittest.mock import patch

from lesson_texts import main as write_texts

from charlstm.cli.main import run as charlstm
from charlstm.model.file import load_model, save_model
from charlstm.training import plan

COMMON = (
    "--preset quick --from none --num-layers 2 --hidden-size 64 --dropout 0 --set weight_drop=0 --set calibrate=false "
    "--seq-length 100 --kernel nn --precision float32 --threads 1 --device cpu --set log_every=25"
)
TRAININGS = {
    "brackets": ("--batch-size 32 --max-steps 1000 --set val_every=100 --lines keep", (0, 1000)),
    "recites": ("--batch-size 4 --val-fraction 0.2 --max-steps 1200 --set val_every=40", (1200,)),
    "words": ("--batch-size 32 --max-steps 2400 --set val_every=100", (0, 10, 30, 100, 300, 600, 1200, 2400)),
}
"""Options of each training, and the steps of its snapshots, which else depend on how fast the machine is. The run that
the lesson begins with is the newest, which lists show first."""
MOMENT = (1980, 1, 1, 0, 0, 0)
"""The time of each file in the zip file, so that equal runs give equal bytes."""


def main(folder: str, out: str) -> None:
    texts, runs = Path(folder) / "texts", Path(folder) / "runs"
    write_texts(str(texts))
    for name, (options, steps) in TRAININGS.items():
        words = ["train", str(texts / f"{name}.txt"), "--name", f"lesson-{name}", "--runs-dir", str(runs)]
        with patch.object(plan, "snapshot_steps", lambda *_, steps=steps: steps):
            if code := charlstm([*words, *COMMON.split(), *options.split()]):
                sys.exit(code)
    with zipfile.ZipFile(out, "w") as packed:
        for name in TRAININGS:
            pack(packed, runs / f"lesson-{name}", str(texts.absolute()))
    print(f"{out}: {Path(out).stat().st_size:,} bytes")


def pack(packed: zipfile.ZipFile, run: Path, texts: str) -> None:
    """Add the files of ``run``; paths of the folder ``texts`` become names of files."""
    models = [run / "model.safetensors", *sorted(run.glob("snapshots/*.safetensors"))]
    for file in models:
        save_model(file, load_model(file), half=True)
    spec = (run / "run.json").read_text(encoding="utf-8").replace(f"{texts}/", "")
    contents = {run / "run.json": spec.encode()}
    contents |= {file: file.read_bytes() for file in (run / "events.jsonl", run / "text.bin", *models)}
    for file, content in contents.items():
        name = zipfile.ZipInfo(file.relative_to(run.parent).as_posix(), MOMENT)
        packed.writestr(name, content, zipfile.ZIP_DEFLATED, compresslevel=9)


if __name__ == "__main__":
    main(*sys.argv[1:])
