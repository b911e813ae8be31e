"""`charlstm runs`, `tag`, `note` and `delete` where there are many runs."""

import io
import json
from pathlib import Path

import pytest

from charlstm.runs.folder import RunFolder, runs_dir
from charlstm.runs.index import remember_run
from charlstm.runs.notes import MAX_NOTE, Notes, change_notes, read_notes
from command_line import Cli
from recorded_run import record

Runs = dict[str, RunFolder]


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Runs of other states and ages, by name; d was never started."""
    monkeypatch.chdir(tmp_path)
    found = {}
    for age, (name, state) in enumerate((("b", "failed"), ("c", "stopped"), ("a", "finished"), ("d", "stopped"))):
        found[name] = record(runs_dir(), state, name=name).run
        values = json.loads(found[name].spec_path.read_text())
        found[name].spec_path.write_text(json.dumps({**values, "created": 1000.0 + age}))
    for path in (found["d"].events_path, found["d"].heartbeat_path):
        path.unlink()
    return found


def names(rows: list[dict[str, object]]) -> str:
    return "".join(str(row["name"]) for row in rows)


def test_runs_are_sorted_and_limited(several: Runs, cli: Cli) -> None:
    orders = {
        "": "abcd",
        "--reverse": "dcba",
        "--sort created": "dacb",
        "--sort created --reverse --limit 2": "bc",
        "--sort best": "abcd",
        "--sort best --reverse": "cbad",  # a run without a loss is the last one in both orders
        "--sort step --reverse": "dcba",
        "--sort time --reverse": "dcba",
        "--sort size --limit 1": "a",
        "--sort state": "bacd",
        "--sort text": "abcd",
        "--sort preset": "abcd",
    }
    assert {words: names(cli.json("runs", *words.split())) for words in orders} == orders


def test_runs_of_all_folders_are_sorted_together(several: Runs, cli: Cli, tmp_path: Path) -> None:
    for name in ("c2", "c10", "aa"):
        remember_run(record(tmp_path / "elsewhere", name=name).run.path)
    listed = ["a", "aa", "b", "c", "c2", "c10", "d"]
    assert [row["name"] for row in cli.json("runs", "--all")] == listed
    assert [row["name"] for row in cli.json("runs", "--all", "--reverse")] == listed[::-1]


def test_runs_are_chosen_by_state_and_tag(several: Runs, cli: Cli) -> None:
    change_notes(several["a"], lambda now: Notes(("good", "paper")))
    change_notes(several["c"], lambda now: Notes(("good",)))
    assert names(cli.json("runs", "--state", "finished")) == "a"
    assert names(cli.json("runs", "--state", "stopped", "--state", "failed")) == "bcd"
    assert names(cli.json("runs", "--tag", "good")) == "ac"
    assert names(cli.json("runs", "--tag", "good", "--tag", "#paper")) == "a"
    assert names(cli.json("runs", "--tag", "good", "--state", "stopped")) == "c"
    out, _ = cli("runs", "--tag", "good")
    assert out.splitlines()[0].split()[-1] == "TAGS"
    assert "good paper" in out
    assert "TAGS" not in cli("runs", "--state", "failed")[0]
    out, err = cli("runs", "--tag", "goo")
    assert out == ""
    assert err.startswith("None of 4 runs in ")


def test_runs_say_from_which_model_they_started(several: Runs, cli: Cli) -> None:
    assert "START" not in cli("runs")[0]
    record(runs_dir(), name="e", lineage={"run": "demo"})
    assert [row["started_from"] for row in cli.json("runs")] == [None] * 4 + ["demo"]
    head, *_, last = cli("runs")[0].splitlines()
    assert last[head.index("START") :].startswith("demo ")


def test_loss_on_text_that_was_read_has_a_mark_and_a_word(several: Runs, cli: Cli) -> None:
    assert "†" not in "".join(cli("runs"))
    for name, share in (("e", 0.94), ("f", 0.04)):
        record(runs_dir(), name=name, lineage={"run": "a"}, read=(share, "a"))
    rows = {row["name"]: row for row in cli.json("runs")}
    read = [(rows[name]["read_share"], rows[name]["read_by"]) for name in "aef"]
    assert read == [(None, None), (0.94, "a"), (0.04, "a")]
    for words in (("runs",), ("compare", "a", "e", "f")):
        out, err = cli(*words)
        assert out.count("†") == 1
        assert f"†{rows['e']['loss']:.3f}" in out
        assert "† read: the model had read much of the held-out part" in err
    finished = cli("watch", "e", "--plain")[1]
    assert f"best †{rows['e']['loss']:.3f}" in finished
    assert "a, from which training starts, has read 94 % of the held-out part" in finished
    assert {row["read_share"] for row in cli.json("compare", "e", "f")["runs"]} == {0.94, 0.04}


def test_run_with_a_damaged_run_json_is_listed_last_by_age(several: Runs, cli: Cli) -> None:
    several["a"].spec_path.write_text('{"format": 1, "created": 0, "corpus": {}, "settings": 7}')
    rows = cli.json("runs", "--sort", "created")
    assert (names(rows), rows[-1]["created"]) == ("dcba", None)


def test_tags_are_added_removed_and_printed(several: Runs, cli: Cli) -> None:
    assert cli("tag", "a", "good", "#paper,draft") == ("good paper draft\n", "")
    cli("tag", "a", "good")  # twice is once
    assert cli.json("tag", "a", "last", "--remove", "paper")["tags"] == ["good", "draft", "last"]
    assert cli("tag", "a")[0] == "good draft last\n"
    assert cli("tag", "b") == ("", "")
    assert read_notes(several["a"]).tags == ("good", "draft", "last")


def test_note_is_written_shown_and_removed(several: Runs, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    change_notes(several["a"], lambda now: Notes(("good",)))
    assert cli("note", "a", " less dropout ") == ("less dropout\n", "")
    monkeypatch.setattr("sys.stdin", io.StringIO("two\nlines\n"))
    assert cli("note", "a", "-")[0] == "two\nlines\n"
    assert read_notes(several["a"]) == Notes(("good",), "two\nlines")
    for length, code in ((MAX_NOTE, 0), (MAX_NOTE + 1, 2)):
        cli("note", "b", length * "x", code=code)
    monkeypatch.setattr("sys.stdin", io.StringIO("a" + 12_000 * " " + "end"))  # the end was dropped without a word
    assert "at most 10,000 characters" in cli("note", "b", "-", code=2)[1]
    monkeypatch.setattr("sys.stdin", io.StringIO(12_000 * "\n" + "note" + 12_000 * "\n"))
    assert cli("note", "b", "-")[0] == "note\n"
    assert cli("note", "a", "") == ("", "")
    assert read_notes(several["a"]).note == ""


def test_question_of_delete_counts_texts(several: Runs, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_runs_are_renamed_and_deleted(several: Runs, cli: Cli) -> None:
    out, err = cli("delete", "a", "nobody", "--yes", code=1)
    assert (out, err.splitlines()[0]) == ("", "Nothing was deleted")
    assert several["a"].exists()  # all names are looked up first
    runs_dir = several["a"].path.parent
    gone = [{"name": name, "path": str(runs_dir / name), "left": []} for name in ("a", "b")]
    assert cli.json("delete", "a", "b", str(several["a"].path), "--yes") == gone
    assert names(cli.json("runs")) == "cd"
    assert cli.json("rename", "c", "e") == {"name": "e", "path": str(runs_dir / "e"), "former": "c"}
    assert cli.json("delete", "e", "--yes") == {"name": "e", "path": str(runs_dir / "e"), "left": []}
    several["d"].snapshots_dir.rename(runs_dir.parent / "elsewhere")
    several["d"].snapshots_dir.symlink_to(runs_dir.parent / "elsewhere")
    assert f"The link snapshots led to {runs_dir.parent / 'elsewhere'}, which is kept" in cli("delete", "d", "--yes")[1]


def test_run_that_cannot_be_deleted_does_not_keep_the_others_from_it(several: Runs, cli: Cli) -> None:
    with record(runs_dir(), "running", name="busy") as busy:
        out, err = cli("delete", "a", "busy", "c", "--yes", "--json", code=1)
        assert busy.run.exists()
    assert [each["name"] for each in json.loads(out)] == ["a", "c"]
    assert "busy is being trained" in json.loads(err)["error"]["message"]
