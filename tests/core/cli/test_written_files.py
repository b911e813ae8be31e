"""Files that the user names for output: regular files are replaced, everything else is refused and left unchanged."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charlstm.cli.main import run
from charlstm.engine.script_format import checkpoint_writer
from charlstm.errors import CharLSTMError
from charlstm.generation.export import export_session, save_as
from charlstm.generation.session import Session
from charlstm.generation.session_file import save_session
from charlstm.model.file import Model, save_model
from charlstm.runs.folder import find_run
from charlstm.user_files import save
from command_line import Cli
from recorded_run import tiny_model

pytestmark = pytest.mark.usefixtures("workspace")

Save = Callable[[Path, Model], object]

LIBRARY: dict[str, tuple[str, Save]] = {
    "save_model": (".safetensors", save_model),
    "checkpoint_writer": (".net", lambda path, model: save(path, checkpoint_writer(model))),
    "save_session": (".json", lambda path, model: save_session(Session(model, "a"), path)),
    "export_session": (".txt", lambda path, model: export_session(Session(model, "a"), path)),
    "save_as": (".html", lambda path, model: save_as(Session(model, "a"), path)),
}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    "words",
    [("report", "fox", "--out"), ("generate", "fox", "--checkpoints", "--out"), ("compare", "fox", "--svg")],
)
def test_folder_that_is_not_there_is_said_before_the_work(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    cli("generate", "--help")  # imports what would keep a function that is replaced
    for work in ("cli.options.open_model", "insight.checkpoints.checkpoint_texts", "runs.comparison.read_run"):
        monkeypatch.setattr(f"charlstm.{work}", lambda *_, **__: pytest.fail("the work was done first"))
    err = cli(*words, "missing/page.html", code=1)[1]
    assert err.startswith("charlstm: There is no folder missing: ")


@pytest.mark.parametrize("name", LIBRARY)
def test_all_that_writes_a_file_for_the_user_follows_the_same_rules(
    name: str, model: Model, tmp_path: Path, umask: None
) -> None:
    """Those of what is no regular file, links, permissions, and folders of runs."""
    ending, save = LIBRARY[name]
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
    assert (link.is_symlink(), path.read_bytes() != b"old") == (True, True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    (tmp_path / "sessions").mkdir()
    (tmp_path / "run.json").write_text("{}")
    for path in (tmp_path / f"new{ending}", tmp_path / "sessions" / f"new{ending}"):
        save(path, model)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_everything_in_a_run_folder_is_private(umask: None) -> None:
    run = find_run("fox").path
    for path in (run, *run.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.fixture
def checkpoint(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder has a checkpoint of the reference script, theirs.net."""
    monkeypatch.chdir(tmp_path)
    cli("export", "fox", "--to", "script", "--out", "theirs.net")


writing_commands = pytest.mark.parametrize(
    ("words", "ending"),
    [(("export", "fox", "--to", "script", "--out"), ".net"), (("import", "theirs.net", "--out"), ".safetensors")],
)
"""The two commands that take --out and write no page, with the suffixes of their files."""


@writing_commands
@pytest.mark.usefixtures("checkpoint")
def test_commands_replace_files_only_when_forced(cli: Cli, tmp_path: Path, words: tuple[str, ...], ending: str) -> None:
    path, link = tmp_path / f"real{ending}", tmp_path / f"link{ending}"
    path.write_bytes(b"mine")
    link.symlink_to(path.name)
    for name in (path.name, link.name):
        path.write_bytes(b"mine")
        assert "--force" in cli.error(*words, name)
        assert path.read_bytes() == b"mine"
        cli(*words, name, "--force")
        assert path.stat().st_size > 1000
    assert link.is_symlink()


@writing_commands
@pytest.mark.usefixtures("checkpoint")
def test_dash_is_standard_output_unless_that_is_a_terminal(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], ending: str
) -> None:
    cli(*words, f"file{ending}")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
        assert run([*words, "-"]) == 0
        sys.stdout.buffer.seek(0)
        assert sys.stdout.buffer.read() == (tmp_path / f"file{ending}").read_bytes()
    cli(*words, "./-" if ending == ".net" else f"./-{ending}")
    assert "--json and --out -" in cli(*words, "-", "--json", code=2)[1]
    assert [path.name for path in tmp_path.glob("-*")] == ["-" if ending == ".net" else "-.safetensors"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "terminal" in cli.error(*words, "-")
