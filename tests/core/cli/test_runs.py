"""`charlstm runs`, `tag`, `note` and `delete` where there are many runs."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest

from charlstm.errors import RunError
from charlstm.runs import folder
from charlstm.runs.folder import Run
from charlstm.runs.index import remember_run
from charlstm.runs.notes import MAX_NOTE, Notes, change_notes, read_notes
from command_line import Cli
from recorded_run import record


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Run]:
    """Runs of other states, ages and sizes, by name."""
    for name in ("CACHE", "STATE", "RUNS"):
        monkeypatch.setenv(f"CHARLSTM_{name}", str(tmp_path / name.lower()))
    found = {}
    for age, (name, state) in enumerate((("b", "finished"), ("c", "stopped"), ("a", "finished"), ("d", "failed"))):
        with record(tmp_path / "runs", state, name=name) as recorded:
            found[name] = recorded.run
        values = json.loads(found[name].spec_path.read_text())
        found[name].spec_path.write_text(json.dumps({**values, "created": 1000.0 + age}))
    return found


def names(rows: list[dict[str, object]]) -> str:
    return "".join(str(row["name"]) for row in rows)


def test_runs_are_sorted_and_limited(several: dict[str, Run], cli: Cli) -> None:
    assert names(cli.json("runs")) == "abcd"
    assert names(cli.json("runs", "--reverse")) == "dcba"
    assert names(cli.json("runs", "--sort", "created")) == "dacb"
    assert names(cli.json("runs", "--sort", "created", "--reverse", "--limit", "2")) == "bc"
    rows = cli.json("runs", "--sort", "best")
    with_loss = [row["best_loss"] for row in rows if row["best_loss"] is not None]
    assert with_loss == sorted(with_loss)
    without = [row["best_loss"] is None for row in cli.json("runs", "--sort", "best", "--reverse")]
    assert without == sorted(without)  # runs without a loss are the last ones in both orders
    steps = [row["step"] for row in cli.json("runs", "--sort", "step")]
    assert steps == sorted(steps, reverse=True)
    for sort in ("name", "state", "text", "preset", "time", "size"):
        assert len(cli.json("runs", "--sort", sort)) == 4
    lines = cli("runs", "--sort", "created", "--limit", "1")[0].splitlines()
    assert [line.split()[0] for line in lines] == ["RUN", "d"]


def test_runs_of_all_folders_are_sorted_together(several: dict[str, Run], cli: Cli, tmp_path: Path) -> None:
    for name in ("c2", "c10", "aa"):
        with record(tmp_path / "elsewhere", "finished", name=name) as recorded:
            remember_run(recorded.run.path)
    listed = ["a", "aa", "b", "c", "c2", "c10", "d"]
    assert [row["name"] for row in cli.json("runs", "--all")] == listed
    assert [row["name"] for row in cli.json("runs", "--all", "--reverse")] == listed[::-1]


def test_runs_are_chosen_by_state_and_tag(several: dict[str, Run], cli: Cli) -> None:
    change_notes(several["a"], lambda now: Notes(("good", "paper")))
    change_notes(several["c"], lambda now: Notes(("good",)))
    assert names(cli.json("runs", "--state", "finished")) == "ab"
    assert names(cli.json("runs", "--state", "stopped", "--state", "failed")) == "cd"
    assert names(cli.json("runs", "--tag", "good")) == "ac"
    assert names(cli.json("runs", "--tag", "good", "--tag", "#paper")) == "a"
    assert names(cli.json("runs", "--tag", "good", "--state", "stopped")) == "c"
    out, _ = cli("runs", "--tag", "good")
    assert out.splitlines()[0].split()[-1] == "TAGS"
    assert "good paper" in out
    assert "TAGS" not in cli("runs", "--state", "failed")[0]
    assert cli.json("runs", "--tag", "goo") == []
    out, err = cli("runs", "--tag", "goo")
    assert out == ""
    assert err.startswith("None of 4 runs in ")


def test_runs_say_from_which_model_they_started(several: dict[str, Run], tmp_path: Path, cli: Cli) -> None:
    assert "START" not in cli("runs")[0]
    with record(tmp_path / "runs", "finished", name="e", lineage={"run": "demo"}):
        pass
    assert [row["started_from"] for row in cli.json("runs")] == [None] * 4 + ["demo"]
    head, *_, last = cli("runs")[0].splitlines()
    assert last[head.index("START") :].startswith("demo ")


def test_loss_on_text_that_was_read_has_a_mark_and_a_word(several: dict[str, Run], tmp_path: Path, cli: Cli) -> None:
    assert "†" not in "".join(cli("runs"))
    for name, share in (("e", 0.94), ("f", 0.04)):
        record(tmp_path / "runs", "finished", name=name, lineage={"run": "a"}, read=(share, "a"))
    rows = {row["name"]: row for row in cli.json("runs")}
    assert [(rows[name]["read_share"], rows[name]["read_by"]) for name in "aef"] == [
        (None, None), (0.94, "a"), (0.04, "a"),
    ]  # fmt: skip
    for words in (("runs",), ("compare", "a", "e", "f")):
        out, err = cli(*words)
        assert out.count("†") == 1
        assert f"†{rows['e']['loss']:.4f}" in out
        assert "† read: the model had read much of the held-out part" in err
    finished = cli("watch", "e", "--plain")[1]
    assert f"best †{rows['e']['loss']:.4f}" in finished
    assert "a, from which training starts, has read 94 % of the held-out part" in finished
    assert {row["read_share"] for row in cli.json("compare", "e", "f")["runs"]} == {0.94, 0.04}


def test_run_with_a_damaged_run_json_is_listed_last_by_age(several: dict[str, Run], cli: Cli) -> None:
    several["d"].spec_path.write_text('{"format": 1, "created": 0, "corpus": {}, "settings": 7}')
    rows = cli.json("runs", "--sort", "created")
    assert names(rows) == "acbd"
    assert rows[-1]["created"] is None


def test_tags_are_added_removed_and_printed(several: dict[str, Run], cli: Cli) -> None:
    assert cli("tag", "a", "good", "#paper,draft") == ("good paper draft\n", "")
    cli("tag", "a", "good")  # twice is once
    place = {"name": "a", "path": str(several["a"].path)}
    assert cli.json("tag", "a", "last", "--remove", "paper") == {
        **place, "tags": ["good", "draft", "last"], "notes": ""
    }  # fmt: skip
    assert cli("tag", "a")[0] == "good draft last\n"
    assert cli("tag", "b") == ("", "")
    assert read_notes(several["a"]).tags == ("good", "draft", "last")


def test_note_is_written_printed_and_removed(
    several: dict[str, Run], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_notes(several["a"], lambda now: Notes(("good",)))
    assert cli("note", "a", " less dropout ") == ("less dropout\n", "")
    assert cli.json("note", "a")["notes"] == "less dropout"
    monkeypatch.setattr("sys.stdin", io.StringIO("two\nlines\n"))
    assert cli("note", "a", "-")[0] == "two\nlines\n"
    assert read_notes(several["a"]) == Notes(("good",), "two\nlines")
    for length, code in ((MAX_NOTE, 0), (MAX_NOTE + 1, 2)):
        cli("note", "b", length * "x", code=code)
    monkeypatch.setattr("sys.stdin", io.StringIO((MAX_NOTE + 1) * "x"))
    assert "at most 10,000 characters" in cli("note", "b", "-", code=2)[1]
    monkeypatch.setattr("sys.stdin", io.StringIO("a" + 12_000 * " " + "end"))  # the end was dropped without a word
    assert "at most 10,000 characters" in cli("note", "b", "-", code=2)[1]
    monkeypatch.setattr("sys.stdin", io.StringIO(12_000 * "\n" + "note" + 12_000 * "\n"))
    assert cli("note", "b", "-")[0] == "note\n"
    assert cli("note", "a", "") == ("", "")
    assert read_notes(several["a"]).note == ""


def test_the_question_before_deleting_counts_the_texts_that_go_too(
    several: dict[str, Run], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("story.json", "poem.json", ".poem.json.lock"):
        several["a"].sessions_dir.mkdir(exist_ok=True)
        (several["a"].sessions_dir / name).write_text("{}")
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda question, **options: asked.append(question))
    for names in (["a"], ["a", "b"], ["b"]):
        cli("delete", *names)
    texts = ", with 2 sessions of text that was played or written?"
    assert [texts in question for question in asked] == [True, True, False]
    assert several["a"].exists()


def test_runs_are_renamed_and_deleted(several: dict[str, Run], cli: Cli) -> None:
    out, err = cli("delete", "a", "nobody", "--yes", code=1)
    assert (out, err.splitlines()[0]) == ("", "Nothing was deleted")
    assert several["a"].exists()  # all names are looked up first
    runs_dir = several["a"].path.parent
    gone = [{"name": name, "path": str(runs_dir / name), "left": []} for name in ("a", "b")]
    assert cli.json("delete", "a", "b", str(several["a"].path), "--yes") == gone
    assert names(cli.json("runs")) == "cd"
    assert cli.json("rename", "c", "e") == {"name": "e", "path": str(runs_dir / "e"), "former": "c"}
    assert cli.json("delete", "e", "--yes") == {"name": "e", "path": str(runs_dir / "e"), "left": []}


def test_run_that_cannot_be_deleted_does_not_keep_the_others_from_it(
    several: dict[str, Run], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = folder.delete_run

    def refuse_b(run: Run) -> list[str]:
        if run.name == "b":
            raise RunError("The run b is training")
        return delete(run)

    monkeypatch.setattr("charlstm.runs.folder.delete_run", refuse_b)
    out, err = cli("delete", "a", "b", "c", "--yes", "--json", code=1)
    assert [each["name"] for each in json.loads(out)] == ["a", "c"]
    assert json.loads(err)["error"] == {"kind": "run", "message": "The run b is training"}
    assert several["b"].exists()
    shutil.rmtree(several["b"].path)
