"""Runs as scripts use them: commands to the worker, waiting, deleting, and lists of runs as tables."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

import charlstm
from charlstm.runs import launch
from charlstm.training.events import Decided, Finished, Paused, Resumed, Started, Stepped, Validated, Warned
from charlstm.training.settings import Settings
from command_line import Terminal
from recorded_run import record


def test_run_methods_send_what_charlstm_control_sends(tmp_path: Path) -> None:
    with record(tmp_path, "running", name="mine") as recorded:
        run = charlstm.find_run("mine", tmp_path)
        run.pause()
        run.resume()
        run.set_lr(1e-3)
        run.more(2)
        run.checkpoint()
        run.finish()
        run.stop()
        sent = [(each.command, each.value) for each in recorded.commands()]
        assert sent == [
            *(("pause", None), ("resume", None), ("set-lr", 1e-3), ("more", 2.0)),
            *(("checkpoint", None), ("finish", None), ("stop", None)),
        ]
        for refused in (lambda: run.set_lr(0), lambda: run.more(-1), lambda: run.resume(max_steps=10**6), run.delete):
            with pytest.raises(charlstm.CharLSTMError) as error:
                refused()
            assert "\n" not in str(error.value)
        assert recorded.commands() == []


def test_ended_run_is_resumed_and_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(launch, "launch", lambda _, changes=None: started.append(dict(changes or {})))
    record(tmp_path, "stopped", name="mine", steps=200, planned=400, settings=Settings(max_steps=400))
    run = charlstm.find_run("mine", tmp_path)
    run.resume()
    run.resume(max_steps=900)
    run.more(1)
    assert started[:2] == [{}, {"max_steps": 900}]
    assert started[2].keys() == {"max_steps", "max_minutes"}
    with pytest.raises(charlstm.CharLSTMError, match="did you mean max_steps"):
        run.resume(max_step=900)
    with pytest.raises(charlstm.CharLSTMError, match="above zero"):
        run.more(0)


def test_wait_shows_progress_and_gives_up_with_an_error_of_the_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with record(tmp_path, "running", name="mine") as recorded:
        run = charlstm.find_run("mine", tmp_path)
        with pytest.raises(charlstm.CharLSTMError, match=r"still running after 0\.2 seconds") as error:
            run.wait(0.2)
        assert isinstance(error.value, TimeoutError)
        assert capsys.readouterr().out == ""
        recorded.end("finished")
    assert run.wait(0.2, progress=True).state == "finished"
    shown = capsys.readouterr().out
    assert "step " in shown
    assert shown.split("\n")[-2].rpartition("\r")[2].startswith("done: 400 steps in ")


def test_list_of_runs_is_a_table(tmp_path: Path) -> None:
    assert repr(charlstm.list_runs(tmp_path)) == "No runs"
    for name, state in (("first", "finished"), ("second", "stopped")):
        record(tmp_path, state, name=name, text="<b>&.txt")  # type: ignore[arg-type]
    (tmp_path / "second" / "run.json").write_text("{")
    runs = charlstm.list_runs(tmp_path)
    head, first, second = repr(runs).splitlines()
    assert head.split() == ["run", "state", "text", "loss", "step", "minutes"]
    assert first.split()[:2] == ["first", "finished"]
    assert second.split()[:2] == ["second", "stopped"]
    (tmp_path / "second").rename(tmp_path / "夏目漱石")
    head, first, _ = repr(charlstm.list_runs(tmp_path)).splitlines()
    assert head.index("state") == first.index("finished") == len("夏目漱石") * 2 + 2
    table = runs[:1]._repr_html_()
    assert table.count("<tr>") == 2
    assert "&lt;b&gt;&amp;.txt" in table
    assert "<b>" not in table
    assert "color" not in table, "the colours are those of the page"
    assert isinstance(runs[0], charlstm.Run)
    assert runs == [runs[0], runs[1]]


def events_of_a_run() -> list[charlstm.AnyEvent]:
    figures: dict[str, Any] = {"lr": 0.1, "grad_norm": 1.0, "chars_per_second": 1234.0}
    figures |= {"train_seconds": 10.0, "work_seconds": 10.0}
    started = Started(
        step=0, planned_steps=40, steps_per_epoch=9, parameters=1000, train_chars=9, val_chars=9, device="cpu",
        kernel="nn", threads=1,
    )  # fmt: skip
    return [
        started,
        Stepped(step=10, epoch=0.1, train_loss=2.5, **figures),
        Validated(step=10, val_loss=2.25, chars=9, best=True, train_seconds=10.0),
        Decided(step=10, steps_left=10),
        Warned(step=10, message="the text is\x1b[2J short"),
        Stepped(step=15, epoch=0.1, train_loss=2.0, **figures),
        Resumed(step=15),
        Finished(step=20, reason="done", best_val=2.0, best_step=20, train_seconds=75.0, work_seconds=75.0),
    ]


def test_progress_line_is_written_over_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.line.TerminalLine.INTERVAL", 0.0)
    monkeypatch.setenv("COLUMNS", "200")
    file = Terminal()
    with charlstm.ProgressLine(file) as show:
        for event in events_of_a_run():
            show(event)
    shown = file.getvalue()
    assert "\r\x1b[Kstep 10 of 40 (25 %) · loss 2.500 · 1,234 characters/s · 0:30 left" in shown
    assert "\r\x1b[Kstep 10 of 40 (25 %) · loss 2.500 · held out 2.250 · 1,234 characters/s" in shown
    assert "step 15 of 20 (75 %) · loss 2.000" in shown
    lines = [line.rpartition("\r\x1b[K")[2] for line in shown.split("\n")]
    assert lines == ["the text is␛[2J short", "done: 20 steps in 1:15 · loss 2.0000 at step 20", ""]


def test_progress_line_that_is_left_is_ended_and_plain_output_gets_few_lines() -> None:
    file = Terminal()
    with charlstm.ProgressLine(file) as show:
        show(events_of_a_run()[0])
    assert file.getvalue() == "\r\x1b[Ktraining 1,000 weights\n"
    plain = io.StringIO()
    for event in events_of_a_run():
        charlstm.ProgressLine(plain, enabled=False)(event)
    assert plain.getvalue() == ""
    show = charlstm.ProgressLine(plain)
    for event in events_of_a_run()[:3]:
        show(event)
    assert plain.getvalue() == "training 1,000 weights\n", "the next line comes 10 seconds later"


def test_progress_line_says_that_training_waits_for_the_disk_and_continues() -> None:
    """``train(progress=True)`` fell silent for as long as nothing could be written."""
    file = Terminal()
    with charlstm.ProgressLine(file) as show:
        for event in (
            Paused(step=5),
            Resumed(step=5),
            Paused(step=10, reason="nothing can be written: No space left on device"),
            Resumed(step=10),
            Paused(step=15),
            Resumed(step=15),
        ):
            show(event)
    assert file.getvalue() == ("Training waits: nothing can be written: No space left on device\nTraining continues\n")


def test_run_from_python_starts_as_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``charlstm train`` starts from the model in the box where that predicts the text well, and ``start_run`` did not.
    No worker is started here."""
    monkeypatch.setattr(launch, "launch", lambda *_: 0)
    monkeypatch.chdir(tmp_path)
    text = charlstm.generate("demo", length=2000, seed=1, temperature=0.6)
    Path("text.txt").write_text(text, encoding="utf-8")
    Path("other.txt").write_text("01101001" * 500, encoding="utf-8")

    def started(*given: Any, source: str = "text.txt", **named: Any) -> tuple[str | None, Settings]:
        spec = charlstm.start_run(source, *given, runs_dir=tmp_path, **named).spec()
        return None if spec.lineage is None else spec.lineage["run"], spec.settings

    sizes = len(text), len(set(text))
    usual, from_demo = charlstm.preset("quick", *sizes), charlstm.preset("quick", *sizes, start_from="demo")
    assert started() == started(usual, "quick") == started(from_demo, "quick") == ("demo", from_demo)
    assert started({"dropout": 0.3}) == ("demo", from_demo.with_changes(dropout=0.3))
    limits = {"max_steps": 5, "max_minutes": None, "epochs": None}
    assert started(usual.with_changes(**limits), "quick") == ("demo", from_demo.with_changes(**limits))
    assert started({"max_steps": 5}) == ("demo", from_demo.with_changes(**limits))
    assert started({"hidden_size": 9}) == (None, usual.with_changes(hidden_size=9))
    assert started(usual.with_changes(hidden_size=9), "quick") == (None, usual.with_changes(hidden_size=9))
    assert started(usual) == started(usual, "quick", model_from="none") == (None, usual), "settings of no preset"
    assert started(usual, model_from="demo")[0] == started(usual, model_from="auto")[0] == "demo"
    assert started(source="other.txt")[0] is None
    for wrong, words in (
        ({"settings": {"hiden_size": 9}}, "did you mean hidden_size"),
        (
            {"settings": {"hidden_size": 9}, "model_from": "demo"},
            "hidden_size has no effect where training starts from",
        ),
        ({"preset": "slow"}, "There is no preset 'slow'"),
        ({"model_from": "nothing"}, "There is no run 'nothing'"),
    ):
        with pytest.raises(charlstm.CharLSTMError, match=words):
            started(**wrong)
