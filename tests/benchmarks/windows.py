"""Print a run's loss on its held-out part in windows that begin without any context, as nanoGPT measures.

    python tests/benchmarks/windows.py RUN … [--length 256] [--runs-dir FOLDER]

nanoGPT's figure is a mean over windows of 256 characters at random places of the held-out tenth, each read from its
beginning. Here the windows stand one behind the other, so that every character counts once. ``charlstm eval`` gives the
loss with the state carried on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.nn import functional

from charlstm import find_run
from charlstm.engine.network import CharLSTM
from charlstm.runs.own_text import held_out_text

AT_ONCE = 64


@torch.no_grad()
def loss_in_windows(run: str, folder: Path | None, length: int) -> float:
    """Nats per character."""
    found = find_run(run, folder)
    model = found.model()
    encoded, _ = model.vocabulary.encode(held_out_text(found, None).text)
    ids = torch.from_numpy(encoded)
    network = CharLSTM.from_model(model).eval()
    count = (len(ids) - 1) // length
    inputs, targets = (ids[begin : begin + count * length].view(count, length) for begin in (0, 1))
    nats = 0.0
    for some, goals in zip(inputs.split(AT_ONCE), targets.split(AT_ONCE), strict=True):
        logits, _ = network(some.t())
        nats += functional.cross_entropy(logits.flatten(0, 1), goals.t().flatten(), reduction="sum").item()
    return nats / (count * length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="+")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--runs-dir", type=Path)
    options = parser.parse_args()
    for run in options.run:
        print(f"{run}: {loss_in_windows(run, options.runs_dir, options.length):.4f}")


if __name__ == "__main__":
    main()
