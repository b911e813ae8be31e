"""`charlstm info`, `import` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charlstm.engine.script_format import import_checkpoint
from charlstm.generation.scoring import score
from charlstm.generation.session import Session
from charlstm.model.file import load_model
from command_line import TEXT, Cli


@pytest.fixture
def checkpoint(workspace: Path, cli: Cli, tmp_path: Path) -> Path:
    """The run fox as a checkpoint of the reference script."""
    out = tmp_path / "theirs.net"
    assert cli("export", "fox", "--to", "script", "--out", str(out)) == (f"{out}\n", "")
    return out


def test_import_prints_the_path_of_a_usable_model(
    workspace: Path, checkpoint: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    out, err = cli("import", str(checkpoint))
    assert out == "theirs.safetensors\n"
    assert "1 × 12 LSTM" in err
    assert cli.json("info", "theirs.safetensors")["info"] == {"imported_from": "theirs.net"}
    assert "imported_from theirs.net" in cli.flat("info", "theirs.safetensors")
    ask = ("--prime", "the ", "--length", "30")
    assert cli.json("generate", "theirs.safetensors", *ask) == cli.json("generate", "fox", *ask)
    figures = [cli.json("eval", model, str(workspace / "data/fox.txt")) for model in ("theirs.safetensors", "fox")]
    assert [each.pop("read_share") for each in figures] == [None, 0.9], "the script's format has no word of its text"
    assert figures[0] == figures[1] | {"read_by": None}


def test_export_is_named_after_run_and_snapshot(
    workspace: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.json("export", "fox", "--to", "script") == {"out": str(tmp_path / "fox.net"), "to": "script"}
    assert "fox.net already exists: replace it with --force" in cli.error("export", "fox", "--to", "script")
    assert cli("export", "fox", "--to", "script", "--force")[0] == "fox.net\n"
    assert cli("export", "fox", "--to", "script", "--snapshot", "0")[0] == "fox-0.net\n"
    assert sorted(path.name for path in tmp_path.glob("*.net")) == ["fox-0.net", "fox.net"]
    young, grown = import_checkpoint("fox-0.net"), import_checkpoint("fox.net")
    assert score(grown, TEXT).mean_nats < score(young, TEXT).mean_nats
    found = torch.load("fox.net")
    assert sorted(found) == ["n_hidden", "n_layers", "state_dict", "tokens"]
    run_model = load_model(workspace / "runs" / "fox" / "model.safetensors")
    assert np.array_equal(found["state_dict"]["fc.weight"].numpy(), run_model.weights["fc.weight"])


def test_exported_folder_is_loaded_by_plain_torch_as_its_card_says(
    workspace: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "given"
    assert cli.json("export", "fox", f"{folder}/") == {"out": str(folder), "to": "folder"}
    assert "already exists: replace it with --force" in cli.error("export", "fox", f"{folder}/")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "trained with charlstm on fox.txt" in card
    assert "nats per character" in card
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    exec(card.split("```python\n")[1].split("```")[0], found)
    model = load_model("model.safetensors")
    for each in Session(model, found["config"]["prime"]).next_char_distribution().alternatives:
        probability = found["probabilities"][found["symbols"].index(each.char)].item()
        assert probability == pytest.approx(each.probability, abs=1e-5)
    text = (workspace / "data/fox.txt").read_text(encoding="utf-8")[:2000]
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    torch, symbols = found["torch"], found["symbols"]
    ids = torch.tensor([symbols.index(char) for char in text])
    outputs, _ = found["lstm"](torch.nn.functional.one_hot(ids, len(symbols)).float())
    loss = torch.nn.functional.cross_entropy(found["fc"](outputs[:-1]).double(), ids[1:]).item()
    assert cli.json("eval", "fox", str(tmp_path / "text.txt"))["loss"] == pytest.approx(loss, abs=1e-6)


def test_export_writes_onnx(workspace: Path, cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    out = tmp_path / "fox.onnx"
    assert cli.json("export", "fox", str(out)) == {"out": str(out), "to": "onnx"}
    assert out.stat().st_size > 1000
