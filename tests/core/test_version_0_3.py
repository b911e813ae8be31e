"""Files written by versions 0.2 and 0.3 stay readable: a run that each of them left when it was killed while it
trained; the model of the one of 0.3, and sessions of 0.3.

Scripts wrote them, which are in commit 9dd1c732.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import charlstm
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session_file import read
from charlstm.runs.log import read_events
from charlstm.runs.worker import run_foreground
from played_documents import load_session

pytestmark = pytest.mark.numeric

DATA = Path(__file__).parents[1] / "data"
WRITTEN = DATA / "version_0_3"
MODEL = WRITTEN / "run" / "model.safetensors"
EXPECTED: dict[str, dict[str, Any]] = json.loads((WRITTEN / "expected.json").read_text())
SESSIONS = ["edited", "edited-closed", "in-prime", "in-prime-closed", "library"]
VERSIONS = ["version_0_2", "version_0_3"]


@pytest.fixture(params=VERSIONS)
def killed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[charlstm.Run, Path]:
    """A copy of the run, whose text is at the path that it has recorded, and the log of how it went on."""
    folder = DATA / request.param
    text = shutil.copy(DATA / "version_0_2" / "text.txt", tmp_path / "text.txt")  # the same text in both
    run = Path(shutil.copytree(folder / "run", tmp_path / "runs" / "killed"))
    record = run / "run.json"
    record.write_text(record.read_text(encoding="utf-8").replace("/home/reader/text.txt", str(text)), encoding="utf-8")
    return charlstm.find_run("killed", run.parent), folder / "continued.jsonl"


def test_killed_run_is_read_and_resumes_to_the_losses_of_its_version(killed: tuple[charlstm.Run, Path]) -> None:
    """They agree up to float32 rounding, which differs between processors."""
    run, continued = killed
    status, before = run.status(), run.events()
    assert (status.alive, status.planned_steps, max(each.step for each in before) >= 220) == (False, 320, True)
    assert [(each.command, each.value) for each in before if each.name == "control"] == [("set-lr", 0.002)]
    assert len(before) == len(run.events_path.read_text().splitlines())
    assert run.model().config.hidden_size == 12
    events, expected = list(run_foreground(run)), list(read_events(continued))
    assert (events[-1].step, events[-1].read_share, run.model().passages) == (320, None, None)
    ours, theirs = (
        {each.step: each.val_loss for each in log if each.name == "validation"} for log in (events, expected)
    )
    assert sorted(ours) == [220, 240, 260, 280, 300, 320]
    assert ours == pytest.approx({step: theirs[step] for step in ours}, abs=2e-4)
    rates, theirs = ({each.step: each.lr for each in log if each.name == "step"} for log in (events, expected))
    assert rates.keys() & theirs.keys()
    assert all(rate == pytest.approx(theirs[step]) for step, rate in rates.items() if step in theirs)
    assert run.status().best_val == pytest.approx(expected[-1].best_val, abs=2e-4)


@pytest.mark.parametrize("name", SESSIONS)
def test_session_of_0_3_has_its_text_branches_and_sources_and_continues_alike(name: str) -> None:
    expected, path = EXPECTED[name.removesuffix("-closed")], WRITTEN / f"{name}.json"
    state = read(path).state
    names, branches = state.document.names, state.document.branches
    assert state.summary.title == expected["title"]
    assert [
        {"number": number, "name": names.get(number, ""), "text": branch.text.read()}
        for number, branch in branches.items()
    ] == expected["branches"]
    session = load_session(path, charlstm.load_model(MODEL))
    prime = expected["prime_length"]
    rows = session.rows()
    assert session.prime + session.read() == expected["text"]
    assert "".join(map(str, rows["source"].tolist())) == expected["sources"][prime:]
    assert (session.position, session.seed) == (expected["cursor"] - prime, expected["seed"])
    assert session.settings == SamplerSettings.from_dict(expected["settings"])
    assert [[each.layer, each.cell, each.value, each.factor] for each in session.clamps] == expected["clamps"]
    assert rows["probability"].tolist() == pytest.approx(expected["probabilities"], abs=2e-5)
    session.rewind(len(session))
    assert "".join(step.char for step in session.stream(40)) == expected["continued"]
