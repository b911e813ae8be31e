"""Sessions written by version 0.2 stay readable: ``tests/data/version_0_2/write.py`` wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charlstm
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.saving import load_session, read_summary

pytestmark = pytest.mark.numeric

WRITTEN = Path(__file__).parents[1] / "data" / "version_0_2"
EXPECTED: dict[str, dict[str, Any]] = json.loads((WRITTEN / "expected.json").read_text())


def test_every_session_of_0_2_is_compared() -> None:
    assert {path.stem for path in WRITTEN.glob("*.json")} == {*EXPECTED, "expected"}


@pytest.mark.parametrize("name", EXPECTED)
def test_session_of_0_2_has_its_text_branches_and_names(name: str) -> None:
    expected = EXPECTED[name]
    session = load_session(WRITTEN / f"{name}.json", charlstm.load_model(WRITTEN / "model.safetensors"))
    assert (session.prime, session.unknown, session.read()) == (
        expected["prime"],
        expected["unknown"],
        expected["text"],
    )
    assert "".join(map(str, session.rows()["source"].tolist())) == expected["sources"]
    assert (session.position, session.seed, session.sample) == (
        expected["position"],
        expected["seed"],
        expected["sample"],
    )
    assert session.settings == SamplerSettings.from_dict(expected["settings"])  # later ones are off
    assert [[clamp.layer, clamp.cell, clamp.value, clamp.factor] for clamp in session.clamps] == expected["clamps"]
    for saved in expected["branches"]:
        branch = session.tree[saved["number"]]
        rows = branch.slice(branch.start, branch.stop)[: len(saved["text"])]
        assert session.model.vocabulary.decode(rows["id"]) == saved["text"]
        assert "".join(map(str, rows["source"].tolist())) == saved["sources"]
        parent = None if saved["parent"] is None else session.tree[saved["parent"]]
        assert (branch.parent, branch.start, branch.name) == (parent, saved["start"], saved["name"])
        if not expected["rest"]:  # else the last branch goes on with what was read again
            assert branch.size == len(saved["text"])
    if not expected["rest"]:
        assert len(session.tree) == len(expected["branches"])


@pytest.mark.parametrize("name", EXPECTED)
def test_session_of_0_2_has_its_figures_and_continues_alike(name: str) -> None:
    session = load_session(WRITTEN / f"{name}.json", charlstm.load_model(WRITTEN / "model.safetensors"))
    assert np.abs(session.rows()["probability"] - EXPECTED[name]["probabilities"]).max() < 1e-5
    session.rewind(len(session))
    assert "".join(step.char for step in session.stream(40)) == EXPECTED[name]["continued"]


@pytest.mark.parametrize("name", EXPECTED)
def test_summary_of_0_2_is_read(name: str) -> None:
    expected, summary = EXPECTED[name], read_summary(WRITTEN / f"{name}.json")
    assert summary.length == len(expected["text"])
    assert summary.begins == (expected["prime"] + expected["text"])[:80]
    assert summary.edited == (name != "no-prime")
