"""Sessions written by version 0.2 stay readable. A script wrote them, which is in commit 9dd1c732."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charlstm
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session_file import read, read_summary
from played_documents import load_session

pytestmark = pytest.mark.numeric

WRITTEN = Path(__file__).parents[1] / "data" / "version_0_2"
EXPECTED: dict[str, dict[str, Any]] = json.loads((WRITTEN / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_session_of_0_2_has_its_text_branches_names_and_figures_and_continues_alike(name: str) -> None:
    expected = EXPECTED[name]
    session = load_session(WRITTEN / f"{name}.json", charlstm.load_model(WRITTEN / "model.safetensors"))
    assert (session.prime, session.read()) == (expected["prime"], expected["text"])
    assert "".join(map(str, session.rows()["source"].tolist())) == expected["sources"]
    assert [session.position, session.seed, session.sample] == [expected[at] for at in ("position", "seed", "sample")]
    assert session.settings == SamplerSettings.from_dict(expected["settings"])  # later ones are off
    assert [[clamp.layer, clamp.cell, clamp.value, clamp.factor] for clamp in session.clamps] == expected["clamps"]
    document = read(WRITTEN / f"{name}.json").state.document
    branches, prime = document.branches, len(expected["prime"])
    for saved in expected["branches"]:
        branch = branches[saved["number"]]
        own = branch.text.part(prime + saved["start"])
        end = len(saved["text"]) if expected["rest"] else None  # the last branch goes on with the rest
        assert own.read()[:end] == saved["text"]
        assert "".join(map(str, own.sources().tolist()))[:end] == saved["sources"]
        assert (branch.parent, document.names.get(branch.number, "")) == (saved["parent"], saved["name"])
    if not expected["rest"]:
        assert len(branches) == len(expected["branches"]) + (name == "no-prime")  # what was cut off stays as a branch
    assert np.abs(session.rows()["probability"] - expected["probabilities"]).max() < 1e-5
    if name != "mirostat":  # which was switched on in the middle: its limits are those of the settings of now
        session.rewind(len(session))
        assert "".join(step.char for step in session.stream(40)) == expected["continued"]
    summary = read_summary(WRITTEN / f"{name}.json")
    assert (summary.length, summary.edited) == (len(expected["text"]), name != "no-prime")
    assert summary.begins == (expected["prime"] + expected["text"])[:80]
