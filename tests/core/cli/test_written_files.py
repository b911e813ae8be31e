"""Files that the user names for output: regular files are replaced, everything else is refused and left unchanged; and
what `import` and `export` write."""

import io
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charlstm.cli.main import run
from charlstm.engine.script_format import checkpoint_writer, import_checkpoint
from charlstm.errors import CharLSTMError
from charlstm.generation.scoring import score
from charlstm.generation.session import Session
from charlstm.generation.session_file import SessionState, write_as
from charlstm.model.file import Model, load_model, save_model
from charlstm.runs.folder import create_run, find_run
from charlstm.user_files import save, save_text
from command_line import TEXT, Cli
from played_documents import about, played
from recorded_run import tiny_model

pytestmark = pytest.mark.usefixtures("workspace")


def test_import_prints_the_path(workspace: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("export", "fox", "--to", "script", "--out", "theirs.net") == ("theirs.net\n", "")
    out, err = cli("import", "theirs.net")
    assert out == "theirs.safetensors\n"
    assert "1 × 12 LSTM" in err
    expected = cli.json("info", "fox")["info"] | {"imported_from": "theirs.net"}
    assert cli.json("info", "theirs.safetensors")["info"] == expected
    printed = cli.flat("info", "theirs.safetensors")
    assert all(words in printed for words in ("imported_from theirs.net", "frequent ␣ ", "start ↵ "))
    ask = ("--prime", "the ", "--length", "30")
    assert cli.json("generate", "theirs.safetensors", *ask) == cli.json("generate", "fox", *ask)
    text = str(workspace / "data/fox.txt")
    assert cli.json("eval", "theirs.safetensors", text) == cli.json("eval", "fox", text), "it has read the same text"


def test_export_is_named_after_run_and_snapshot(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.json("export", "fox", "--to", "script") == {"out": str(tmp_path / "fox.net"), "to": "script"}
    assert cli("export", "fox", "--to", "script", "--snapshot", "0")[0] == "fox-0.net\n"
    assert sorted(path.name for path in tmp_path.glob("*.net")) == ["fox-0.net", "fox.net"]
    young, grown = import_checkpoint("fox-0.net"), import_checkpoint("fox.net")
    assert score(grown, TEXT).loss < score(young, TEXT).loss


def test_exported_folder_is_loaded_as_its_card_says(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_export_writes_onnx(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    out = tmp_path / "fox.onnx"
    assert cli.json("export", "fox", str(out)) == {"out": str(out), "to": "onnx"}
    assert out.stat().st_size > 1000


Save = Callable[[Path, Model], object]
Writing = tuple[list[str], str]


LIBRARY: dict[str, tuple[str, Save]] = {
    "save_model": (".safetensors", save_model),
    "checkpoint_writer": (".net", lambda path, model: save(path, checkpoint_writer(model))),
    "write_as": (".json", lambda path, _: write_as(path, SessionState(played(), about(played())))),
    "save_text": (".txt", lambda path, _: save_text(path, "a")),
}


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.parametrize("words", [("report", "fox", "--out"), ("compare", "fox", "--svg")])
def test_missing_folder_is_said_before_work(cli: Cli, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    cli("generate", "--help")  # imports what would keep a function that is replaced
    for work in ("cli.options.open_model", "runs.comparison.read_run"):
        monkeypatch.setattr(f"charlstm.{work}", lambda *_, **__: pytest.fail("the work was done first"))
    assert cli(*words, "missing/page.html", code=1)[1].startswith("charlstm: There is no folder missing: ")


@pytest.mark.parametrize("name", LIBRARY)
def test_all_that_writes_a_file_for_the_user_follows_the_same_rules(name: str, tmp_path: Path, umask: None) -> None:
    """Those of what is no regular file, links, permissions, and folders of runs."""
    (ending, save), model = LIBRARY[name], tiny_model()
    path, link, pipe = tmp_path / f"real{ending}", tmp_path / f"link{ending}", tmp_path / f"pipe{ending}"
    os.mkfifo(pipe)
    for target, why in ((pipe, "is a pipe"), (tmp_path / "missing" / path.name, "There is no folder .+missing'?: ")):
        with pytest.raises(CharLSTMError, match=why):
            save(target, model)
    save(path, model)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    path.write_bytes(b"old")
    link.symlink_to(path.name)
    save(link, model)
    assert (link.is_symlink(), path.read_bytes() != b"old", stat.S_IMODE(path.stat().st_mode)) == (True, True, 0o604)
    (tmp_path / "sessions").mkdir()
    (tmp_path / "run.json").write_text("{}")
    for path in (tmp_path / f"new{ending}", tmp_path / "sessions" / f"new{ending}"):
        save(path, model)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_everything_in_a_run_folder_is_private() -> None:
    run = find_run("fox").path
    for path in (run, *run.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.fixture(params=[("export fox --to script --out", ".net"), ("import theirs.net --out", ".safetensors")])
def writing(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writing:
    """A command that takes --out and writes no page, where there is a checkpoint for it; and the suffix of its file."""
    monkeypatch.chdir(tmp_path)
    cli("export", "fox", "--to", "script", "--out", "theirs.net")
    return request.param[0].split(), request.param[1]


def test_commands_replace_files_only_when_forced(cli: Cli, tmp_path: Path, writing: Writing) -> None:
    words, ending = writing
    path, link = tmp_path / f"real{ending}", tmp_path / f"link{ending}"
    link.symlink_to(path.name)
    for name in (path.name, link.name):
        path.write_bytes(b"mine")
        assert "--force" in cli.error(*words, name)
        assert path.read_bytes() == b"mine"
        cli(*words, name, "--force")
        assert path.stat().st_size > 1000
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("report fox page.html --out page.html", "page.html"),
        ("report fox page.html --out link.html", "page.html"),
        ("report pages --out page.html", "page.html"),
        ("log fox --to jsonl --out runs/fox/events.jsonl", "runs/fox/events.jsonl"),
        ("log fox --to jsonl --out link.jsonl", "runs/fox/events.jsonl"),
        ("export fox runs/fox/ --force --snapshot 0", "runs/fox/model.safetensors"),
        ("export fox --to script --force --out link.net", "runs/fox/model.safetensors"),
        ("import theirs.safetensors --force", "theirs.safetensors"),
        ("import theirs.safetensors --force --out link.safetensors", "theirs.safetensors"),
    ],
)
def test_nothing_is_written_onto_what_it_is_made_of(
    cli: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARLSTM_RUNS", "runs")
    shutil.copytree(workspace / "runs" / "fox", "runs/fox")
    fox = find_run("fox")
    save("theirs.safetensors", checkpoint_writer(fox.model()))
    Path("page.html").write_text(TEXT)
    corpus = {"name": "page", "sources": [str(tmp_path / "page.html")]}
    shutil.copy(fox.model_path, create_run(replace(fox.spec(), corpus=corpus), name="pages").path)
    link = Path(words.split()[-1])
    if link.name.startswith("link"):
        link.symlink_to(file)
    before = Path(file).read_bytes()
    assert "choose another" in cli.error(*words.split())
    assert Path(file).read_bytes() == before


def test_dash_is_standard_output_but_no_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch, writing: Writing) -> None:
    words, ending = writing
    cli(*words, f"file{ending}")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
        assert run([*words, "-"]) == 0
        sys.stdout.buffer.seek(0)
        assert sys.stdout.buffer.read() == Path(f"file{ending}").read_bytes()
    assert "--json and --out -" in cli(*words, "-", "--json", code=2)[1]
    assert not Path("-").exists()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "terminal" in cli.error(*words, "-")
