"""The same text with all kernels of OpenBLAS: each in a new Python process, since it chooses them at its start."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from charlstm.model.file import Model, save_model

KERNELS = {"AVX512": ("Prescott", "Haswell", "SkylakeX"), "AVX2": ("Prescott", "Haswell")}
"""The kernels that a processor can run, by the instructions that torch finds. Those of another one may crash."""

PROGRAM = """
import json, sys
from threadpoolctl import threadpool_info
from charlstm.library import generate, generate_many
from charlstm.generation.session import Session
from charlstm.model.file import load_model

model, length = load_model(sys.argv[1]), 300

def play(session, count):
    return "".join(step.char for step in session.stream(count))

session = Session(model, "abc", seed=5)
texts = {"session": play(session, length)}
session.rewind(100)
texts["rewound"] = texts["session"][:100] + play(session, length - 100)
session.rewind(77)
for branch in range(2):
    session.type("cab")
    session.rewind(77)
texts["rewound after other branches"] = texts["session"][:77] + play(session, length - 77)
texts["generate"] = generate(model, "abc", length, seed=5)
texts["first of many"] = generate_many(model, "abc", length, samples=3, seed=5)[0]
kernels = [each.get("architecture") for each in threadpool_info() if each["internal_api"] == "openblas"]
print(json.dumps([kernels, texts]))
"""


def kernels_here() -> tuple[str, ...]:
    if platform.machine() not in ("x86_64", "AMD64"):
        return ()
    return KERNELS.get(torch.backends.cpu.get_cpu_capability(), ("Prescott",))


@pytest.mark.parametrize("kernel", ["", *kernels_here()], ids=lambda name: name or "chosen")
def test_text_is_the_same_generated_played_rewound_and_beside_others(
    make_model: Callable[..., Model], tmp_path: Path, kernel: str
) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, make_model(hidden=48, layers=2, seed=3))
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    environment |= {"OPENBLAS_CORETYPE": kernel} if kernel else {}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], env=environment, capture_output=True, text=True, check=True
    )
    used, texts = json.loads(done.stdout)
    # Some builds of OpenBLAS call those for Prescott by an older name. Where numpy has another library, there are none.
    assert not kernel or not used or used[0] in {kernel, "Katmai" if kernel == "Prescott" else kernel}
    assert len(texts["session"]) == 300
    assert len(set(texts["session"])) > 5
    assert {name for name, text in texts.items() if text != texts["session"]} == set()
