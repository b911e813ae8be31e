"""`charlstm log`: what TensorBoard's own reader, and readers of CSV and JSON, find in the log of a run."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from charlstm.cli.main import run as run_command
from charlstm.fields import plain
from charlstm.runs.folder import RunFolder, runs_dir
from charlstm.runs.log import lasting_events, read_events
from charlstm.runs.series import RunSeries
from charlstm.runs.tensorboard_format import FILE_NAME
from charlstm.training.events import Resumed, Sampled, Stepped, Validated
from command_line import Cli
from recorded_run import log_events, record, started, stepped, validated


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    return record(runs_dir(), name="fox", sample="a\n\n*b*\n  é").run


def resume(run: RunFolder, step: int) -> None:
    """Add what a worker logs that goes back to ``step``, and the two steps after it."""
    log_events(run.events_path, Resumed(step=step), stepped(step + 1, 0.1 + 0.2), stepped(step + 2, float("nan")))


def accumulated(tmp_path: Path) -> EventAccumulator:
    """What TensorBoard reads of what the command writes."""
    assert run_command(["log", "fox", "--to", "tensorboard"]) == 0
    return EventAccumulator(str(tmp_path / "tensorboard" / "fox"), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def test_tensorboard_reads_the_figures_the_steps_and_the_times_of_the_run(run: RunFolder, tmp_path: Path) -> None:
    resume(run, 600)
    found, events, series = accumulated(tmp_path), lasting_events(run.events()), RunSeries.of(run.events())
    curves = {"loss/train": "train", "lr": "lr", "grad_norm": "grad_norm", "chars_per_second": "speed"}
    for tag, name in {**curves, "loss/validation": "validation"}.items():
        read, curve = found.Scalars(tag), series.points(name)
        assert [each.step for each in read] == curve.x.tolist()
        np.testing.assert_array_equal(np.float32([each.value for each in read]), np.float32(curve.y))
        kind = Validated if name == "validation" else Stepped
        logged = [each for each in events if isinstance(each, kind) and not getattr(each, "whole", False)]
        assert [each.wall_time for each in read] == [each.time for each in logged]


def test_tensorboard_reads_samples_as_text_and_settings_as_hyperparameters(run: RunFolder, tmp_path: Path) -> None:
    found = accumulated(tmp_path)
    texts = [each.tensor_proto.string_val[0].decode() for each in found.Tensors("sample")]
    samples = [each for each in run.events() if isinstance(each, Sampled)]
    assert len(texts) == len(samples) > 0
    for text, sample in zip(texts, samples, strict=True):
        lines = text.split("\n")
        assert all(line.startswith("    ") for line in lines), "else Markdown changes it"
        assert "\n".join(line[4:] for line in lines) == sample.prime + sample.text
    [content] = found.PluginTagToContent("hparams").values()
    read = HParamsPluginData.FromString(content).session_start_info.hparams
    settings = {name: value for name, value in plain(run.spec().settings).items() if value is not None}
    for name, value in (settings | {"text": "novel.txt", "preset": "quick"}).items():
        assert getattr(read[name], read[name].WhichOneof("kind")) == value


def test_read_share_is_in_table_and_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.chdir(tmp_path)
    record(runs_dir(), name="fox", steps=100, read=(0.4, "sea"))
    rows = csv.DictReader(cli("log", "fox", "--to", "csv", "--out", "-")[0].splitlines())
    shares = {(row["curve"], row["read_share"]) for row in rows}
    assert shares == {("train", ""), ("validation", "0.4"), ("final", "0.4")}
    [said] = [each.tensor_proto.string_val[0].decode() for each in accumulated(tmp_path).Tensors("read before")]
    assert said.startswith("† sea, from which training starts, has read 40 % of the held-out part")


def test_run_that_is_written_again_replaces_its_file(run: RunFolder, tmp_path: Path, cli: Cli) -> None:
    assert cli("log", "fox", "--to", "tensorboard", "--out", "tensorboard")[0] == "tensorboard\n"
    final = [(each.step, each.time) for each in run.events() if isinstance(each, Validated) and each.whole]
    assert [(each.step, each.wall_time) for each in accumulated(tmp_path).Scalars("loss/final")] == final
    assert [each.name for each in (tmp_path / "tensorboard" / "fox").iterdir()] == [FILE_NAME]


def test_missing_package_is_one_sentence(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, run: None) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    assert "pip install tensorboard" in cli.error("log", "fox", "--to", "tensorboard")
    assert not (tmp_path / "tensorboard").exists()


def test_log_is_csv_of_the_comparison_or_the_events_that_count(run: RunFolder, cli: Cli, tmp_path: Path) -> None:
    resume(run, 600)
    table, chart = tmp_path / "losses.csv", tmp_path / "losses.svg"
    for file in (table, chart):
        file.write_text("replaced")
    cli("compare", "fox", "--csv", str(table), "--svg", str(chart))
    assert cli("log", "fox", "--to", "csv", "--out", "-")[0] == cli("compare", "fox", "--csv", "-")[0]
    assert (cli("compare", "fox", "--csv", "-")[0], chart.read_text()[:4]) == (table.read_text(), "<svg")
    assert cli("log", "fox", "--to", "jsonl")[0] == "fox.jsonl\n"
    read = list(read_events(tmp_path / "fox.jsonl"))
    assert [event.name for event in read[-3:]] == ["resumed", "step", "step"]
    assert max(event.step for event in read[:-3]) == 600
    assert "folders" in cli.error("log", "fox", "--to", "tensorboard", "--out", "-")


def test_events_of_steps_that_are_repeated_do_not_last() -> None:
    first = [started(), stepped(1), validated(2, 1.0), stepped(3)]
    assert lasting_events([*first, Resumed(step=2, time=9.0), stepped(3)])[-3].step == 2
    assert len(lasting_events([*first, started(), stepped(1)])) == 2
