"""Runs as scripts use them: commands to the worker, waiting, deleting, and lists of runs as tables."""

import io
from pathlib import Path
from typing import Any

import pytest

import charlstm
from charlstm.runs import launch, start_models
from charlstm.training.events import Decided, Finished, Paused, Resumed, Warned
from charlstm.training.settings import Settings
from command_line import Terminal
from recorded_run import record, started, stepped, validated


def test_run_methods_send_what_charlstm_control_sends(tmp_path: Path) -> None:
    with record(tmp_path, "running", name="mine") as recorded:
        run = charlstm.find_run("mine", tmp_path)
        for send in (run.pause, run.resume, run.checkpoint, run.finish, run.stop):
            send()
        run.set_lr(1e-3)
        run.more(2)
        others = dict.fromkeys(("pause", "resume", "checkpoint", "finish", "stop"))
        assert {each.command: each.value for each in recorded.commands()} == {**others, "set-lr": 1e-3, "more": 2.0}
        for refused in (lambda: run.set_lr(0), lambda: run.more(-1), lambda: run.resume(max_steps=10**6), run.delete):
            with pytest.raises(charlstm.CharLSTMError):
                refused()
        assert recorded.commands() == []


def test_ended_run_is_resumed_and_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[dict[str, Any]] = []
    monkeypatch.setattr(launch, "launch", lambda _, changes=None: launched.append(dict(changes or {})))
    record(tmp_path, "stopped", name="mine", steps=200, planned=400, settings=Settings(max_steps=400))
    run = charlstm.find_run("mine", tmp_path)
    run.resume()
    run.resume(max_steps=900)
    run.more(1)
    assert launched[:2] == [{}, {"max_steps": 900}]
    assert launched[2].keys() == {"max_steps", "max_minutes"}
    with pytest.raises(charlstm.CharLSTMError, match="did you mean max_steps"):
        run.resume(max_step=900)


def test_wait_shows_progress_and_gives_up_with_own_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
        record(tmp_path, state, name=name, text="<b>&.txt")
    (tmp_path / "second" / "run.json").write_text("{")
    runs = charlstm.list_runs(tmp_path)
    head, *rows = repr(runs).splitlines()
    assert head.split() == ["run", "state", "text", "loss", "step", "minutes"]
    assert [row.split()[:2] for row in rows] == [["first", "finished"], ["second", "stopped"]]
    table = runs[:1]._repr_html_()
    assert table.count("<tr>") == 2
    assert "&lt;b&gt;&amp;.txt" in table
    assert "<b>" not in table


EVENTS: list[charlstm.AnyEvent] = [
    started(planned_steps=40, parameters=1000),
    stepped(10, 2.5),
    validated(10, 2.25),
    Decided(step=10, steps_left=10),
    Warned(step=10, message="the text is\x1b[2J short"),
    Paused(step=10),
    Resumed(step=10),
    Paused(step=10, reason="nothing can be written: No space left on device"),
    Resumed(step=10),
    stepped(15, 2.0),
    Resumed(step=15),
    Finished(step=20, reason="done", loss=2.0, best_step=20, train_seconds=75.0, work_seconds=75.0),
]


def test_progress_line_is_written_over_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fell silent for as long as nothing could be written."""
    monkeypatch.setattr("charlstm.line.TerminalLine.INTERVAL", 0.0)
    monkeypatch.setenv("COLUMNS", "200")
    file = Terminal()
    with charlstm.ProgressLine(file) as show:
        for event in EVENTS:
            show(event)
    shown = file.getvalue()
    assert "\r\x1b[Kstep 10 of 40 (25 %) · loss 2.500 · 1,000 characters/s · 0:30 left" in shown
    assert "loss 2.500 · held out 2.250 · 1,000 characters/s" in shown
    assert "step 15 of 20 (75 %) · loss 2.000" in shown
    lines = [line.rpartition("\r\x1b[K")[2] for line in shown.split("\n")]
    waited = ["Training waits: nothing can be written: No space left on device", "Training continues"]
    assert lines == ["the text is␛[2J short", *waited, "done: 20 steps in 1:15 · loss 2.000 at step 20", ""]


def test_progress_line_that_is_left_is_ended_and_plain_output_gets_few_lines() -> None:
    file = Terminal()
    with charlstm.ProgressLine(file) as show:
        show(EVENTS[0])
    assert file.getvalue() == "\r\x1b[Ktraining 1,000 weights\n"
    plain = io.StringIO()
    for event in EVENTS:
        charlstm.ProgressLine(plain, enabled=False)(event)
    assert plain.getvalue() == ""
    show = charlstm.ProgressLine(plain)
    for event in EVENTS[:3]:
        show(event)
    assert plain.getvalue() == "training 1,000 weights\n", "the next line comes 10 seconds later"


def test_run_from_python_starts_as_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``charlstm train`` starts from the model in the box where that predicts the text well, and ``start_run`` did not.
    No worker is started here."""
    monkeypatch.setattr(launch, "launch", lambda *_, **__: 0)
    monkeypatch.setattr(start_models, "PASSAGES", 8)  # to be quicker
    monkeypatch.chdir(tmp_path)
    text = charlstm.generate("demo", length=600, seed=1, temperature=0.6)
    Path("text.txt").write_text(text, encoding="utf-8")
    Path("other.txt").write_text("01101001" * 500, encoding="utf-8")

    def began(*given: Any, source: str = "text.txt", **named: Any) -> tuple[str | None, Settings]:
        spec = charlstm.start_run(source, *given, runs_dir=tmp_path, **named).spec()
        return None if spec.lineage is None else spec.lineage["run"], spec.settings

    sizes = len(text), len(set(text))
    usual, from_demo = charlstm.preset("quick", *sizes), charlstm.preset("quick", *sizes, start_from="demo")
    assert began() == began(usual, "quick") == began(from_demo, "quick") == ("demo", from_demo)
    assert began({"dropout": 0.3}) == ("demo", from_demo.with_changes(dropout=0.3))
    limits = {"max_steps": 5, "max_minutes": None, "epochs": None}
    assert began(usual.with_changes(**limits), "quick") == ("demo", from_demo.with_changes(**limits))
    assert began({"max_steps": 5}) == ("demo", from_demo.with_changes(**limits))
    assert began({"hidden_size": 9}) == (None, usual.with_changes(hidden_size=9))
    assert began(usual.with_changes(hidden_size=9), "quick") == (None, usual.with_changes(hidden_size=9))
    assert began(usual) == began(usual, "quick", model_from="none") == (None, usual), "settings of no preset"
    assert began(usual, model_from="demo")[0] == began(usual, model_from="auto")[0] == "demo"
    assert began(source="other.txt")[0] is None
    for wrong, words in (
        ({"settings": {"hiden_size": 9}}, "did you mean hidden_size"),
        ({"settings": {"hidden_size": 9}, "model_from": "demo"}, "hidden_size has no effect where training starts"),
        ({"model_from": "nothing"}, "There is no run 'nothing'"),
    ):
        with pytest.raises(charlstm.CharLSTMError, match=words):
            began(**wrong)
