"""The documents are true: examples run, Python examples pass mypy's strict mode, and names, files and links exist.

- ``sh`` blocks: each line that starts with ``charlstm`` runs through the real command line, in order, in one folder per
  document. A line that trains gets a small network, and one without a limit ``--max-steps``; a line whose comment names
  Ctrl-C gets one after a moment. Of ``torchrun`` and ``torch.distributed.run`` lines the options are checked, of
  ``make`` lines the targets, of ``python tests/…`` lines the file.
- The tables of configuration, events, sampler settings and JSON are generated from declarations (:data:`GENERATED`).
  ``make documents`` writes them again.
- ``python`` blocks of a document run in order, in one namespace, with fewer steps of a small network where they train.
- docs/example.py uses every public name of the library, and runs.
- In text between backticks, ``path/module.py: name`` says that this file defines this name.
"""

import ast
import builtins
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import pytest

import charlstm
from charlstm.cli.main import cli, run
from charlstm.config import Config, written
from charlstm.generation.sampler_settings import FILTERS, SamplerSettings
from charlstm.insight.features import BUILT_IN
from charlstm.runs import launch, worker
from charlstm.runs.folder import list_runs
from charlstm.setting_fields import setting_fields
from charlstm.training.events import AnyEvent, Event
from charlstm.training.plan import MeasuredSpeed
from command_results import RESULTS, descriptions, json_fields, parts_of

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "checkpoints/README.md", "tests/benchmarks/README.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]
SOURCES = (ROOT, ROOT / "core" / "charlstm", ROOT / "tui" / "charlstm_tui")
"""Where a path that a document names may begin, beside the document's own folder."""

TEXT = "the quick brown fox jumps over the lazy dog, and the dog sleeps on.\nThe sea was calm.\n\n" * 60
LETTER = "The sea was calm, and the quick dog sleeps.\nThe fox jumps.\n"
FEW_STEPS = ["--max-steps", "20", "--max-minutes", "none"]
ONE_THREAD = ["--threads", "1"]
"""Two would wait for each other when the machine is busy."""
SMALL_BATCHES = ["--kernel", "nn", "--batch-size", "4", "--seq-length", "16"]
"""Other kernels are compiled in each process."""
SMALL_NETWORK = ["--hidden-size", "16", "--num-layers", "1"]
"""With the size of the presets, the context of the report alone takes 16 seconds of CPU time."""
STRICT = (
    *("disallow-any-generics", "disallow-subclassing-any", "disallow-untyped-calls", "disallow-untyped-defs"),
    *("disallow-incomplete-defs", "check-untyped-defs", "disallow-untyped-decorators", "warn-return-any"),
    *("no-implicit-reexport", "strict-equality", "extra-checks"),
)
"""The options of mypy's ``--strict`` that ``pyproject.toml`` does not set for all modules, each for one module."""
RUN_BY_TEST_LESSON = ("cells lesson-", "report lesson-")
"""Commands that take seconds: ``tests/test_lesson.py`` runs them, and here they are only parsed."""
CTRL_C_AFTER = 60.0
"""Seconds after which Ctrl-C is sent to a command that trains or watches, if no run has advanced before."""
EXTERNAL = ("python3 -m venv", ".venv/bin/", "source ", "uv tool ", "pip install", "charlstm-tui")
"""Lines that the suite does not run: they install something, or open the full-screen app."""


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(document), re.M | re.S)


def with_blocks(language: str) -> list[str]:
    return [document for document in DOCUMENTS if blocks(document, language)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the texts that the documents name."""
    from charlstm.engine import benchmark

    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr(benchmark, "BUDGET", 0.05)
    monkeypatch.setattr(benchmark, "SHORT_BUDGET", 0.02)
    # `charlstm presets` measures networks of full size, for 8 seconds of CPU time; tests/core/cli measures them.
    monkeypatch.setattr(benchmark, "measured_speed", lambda *_: MeasuredSpeed("nn", 0.01, 1000))
    monkeypatch.setattr("charlstm.cli.doctor.check_import_of_torch", lambda: None)  # a process of its own, for seconds
    (place / "poems").mkdir()
    texts = {"novel.txt": TEXT, "letter.txt": LETTER, "names.txt": "anna\nbo\ncy\ndora\n" * 100, "poems/one.txt": TEXT}
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "tests" / "data" / "script.net", place / "rnn_20_epoch.net")
    yield place
    for left in list_runs():
        status = left.status()
        if status.alive and status.pid is not None:
            os.kill(status.pid, signal.SIGKILL)


def run_line(line: str) -> None:
    """Run a line with ``charlstm`` commands and pipes between them."""
    line, _, comment = line.partition("  #")
    printed = b""
    for command in line.split(" | "):
        words = shlex.split(command)
        assert words[0] == "charlstm", line
        printed = run_command(words[1:], printed, interrupted="Ctrl-C" in comment)


def run_command(words: list[str], content: bytes, *, interrupted: bool) -> bytes:
    if shlex.join(words).startswith(RUN_BY_TEST_LESSON):
        check_parses(words)
        return b""
    trains = (words[0] in ("train", "sweep") and "--show" not in words) or words[:2] == ["queue", "add"]
    if trains or words[0] == "resume":
        words = [*words, *ONE_THREAD]
        if not interrupted and not {"--detach", "--max-steps"} & set(words):
            words += FEW_STEPS
    if trains:
        words += SMALL_BATCHES
        if not re.search("hidden.size|--like|--from (?!none)", shlex.join(words)):
            words += SMALL_NETWORK
    printed = io.BytesIO()
    out = io.TextIOWrapper(printed, encoding="utf-8", write_through=True)
    timer = threading.Thread(target=send_ctrl_c, daemon=True)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        if interrupted:
            timer.start()
        code = run(words)
    assert code == (130 if interrupted else 0), f"charlstm {shlex.join(words)} exited with {code}"
    return printed.getvalue()


def send_ctrl_c() -> None:
    """Interrupt this process as soon as a run makes a training step."""
    before = {left.path: left.status().step for left in list_runs()}
    deadline = time.monotonic() + CTRL_C_AFTER
    while time.monotonic() < deadline:
        if any(left.status().alive and left.status().step > before.get(left.path, 0) for left in list_runs()):
            break
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)


def check_parses(words: list[str]) -> None:
    """Raises when ``charlstm`` has no such command, option or argument."""
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None, words
    command.make_context(words[0], words[1:])


def check_other(line: str) -> None:
    words = shlex.split(line, comments=True)
    if line.startswith(("torchrun", "python -m torch.distributed.run")):
        check_parses(words[words.index("charlstm") + 1 :])
    elif line.startswith("make"):
        targets = {word for word in words[1:] if "=" not in word}
        assert targets <= set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.M)), line
    elif line.startswith("python tests/"):
        assert (ROOT / words[1]).is_file(), line
    else:
        assert line.startswith(EXTERNAL), f"nothing checks the line {line!r}"


@pytest.mark.parametrize("document", with_blocks("sh"))
def test_commands_in_documents_run(document: str, folder: Path) -> None:
    for content in blocks(document, "sh"):
        for line in content.replace("\\\n", " ").splitlines():
            if line.startswith("charlstm "):
                run_line(line)
            elif line.strip() and not line.startswith("#"):
                check_other(line)


@pytest.fixture
def training_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run from Python trains in this process. One of its own loads torch first, for seconds."""
    train = worker.run_foreground
    monkeypatch.setattr(launch, "launch", lambda run, changes=None, **_: len(list(train(run, changes=changes))))


@pytest.mark.usefixtures("training_here")
@pytest.mark.parametrize("document", with_blocks("python"))
def test_python_in_documents_runs(document: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    few = 'max_steps=20, threads=1, hidden_size=16, niceness=0, kernel="nn", batch_size=4, seq_length=16'
    for content in blocks(document, "python"):
        content = re.sub(r"max_steps=\d+", few, content)
        exec(compile(content, document, "exec"), names)


def test_python_in_documents_passes_strict_mypy(tmp_path: Path) -> None:
    """With the settings and the cache of the project, since others would make mypy check all of it again each time."""
    examples = {document: "".join(blocks(document, "python")) for document in DOCUMENTS}
    examples |= {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.py")}
    files = []
    for name, content in examples.items():
        if content:
            files.append(str(tmp_path / (re.sub(r"\W", "_", name) + ".py")))
            Path(files[-1]).write_text(f"# mypy: {', '.join(STRICT)}\n{content}", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", *files]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_commands_in_running_text_exist() -> None:
    commands = set(cli.list_commands(click.Context(cli)))
    for document in DOCUMENTS:
        named = set(re.findall(r"`charlstm ([a-z]+)", text_of(document)))
        assert named <= commands, document


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (ROOT / document).parent / path if path else ROOT / document
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ +(.*)$", file.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each != "CHANGELOG.md"])
def test_files_and_names_in_code_exist(document: str) -> None:
    for path, name in re.findall(r"`([\w./-]+/[\w.-]+\.\w+|[a-z_]+\.py)(?:: ([\w.]+))?`", text_of(document)):
        if path.startswith(("/", "~")) or path.split("/")[0] in ("snapshots", "texts", "sources", "sessions", "data"):
            continue
        found = [each / path for each in (*SOURCES, (ROOT / document).parent) if (each / path).is_file()]
        assert found, f"{document} names {path}"
        for part in name.split(".") if name else []:
            definition = rf"^\s*(?:async )?(?:def|class) {part}\b|^\s*{part}\b.*="
            assert re.search(definition, found[0].read_text(encoding="utf-8"), re.M), f"{path} defines no {part}"


FOREIGN = {
    *("gh", "kubectl", "ruff", "topk", "bernoulli_", "to_thread", "with", "proc", "anna", "do_HANDLER", "Host"),
    *("DataTable", "RichLog", "Bar", "ProgressBar", "Sparkline"),
}
"""Names in docstrings that are not the program's: of other programs and libraries, and parts of examples."""


def test_names_in_docstrings_exist() -> None:
    """They are names that code uses, or texts that look like names, such as keys."""
    files = [path for root in SOURCES[1:] for path in root.rglob("*.py")]
    known = {*dir(builtins), *FOREIGN, *(part for path in files for part in (*path.parts, path.stem))}
    cited: dict[str, str] = {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant):
                if isinstance(node.value, str) and re.fullmatch(r"[\w.-]+", node.value):
                    known.update(node.value.split("."))
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                names = re.findall(r":\w+:`~?([\w.]+)`|(?<![:`])``([A-Za-z_][\w.]*)(?:\(\))?``", str(node.value.value))
                cited |= {part: f"{path}:{node.lineno}" for pair in names for name in pair for part in name.split(".")}
            else:
                names = (getattr(node, field, None) for field in ("name", "id", "attr", "arg", "asname", "module"))
                known.update(part for name in names if isinstance(name, str) for part in name.split("."))
    assert {name: place for name, place in cited.items() if name and name not in known} == {}


def test_documents_that_are_cited_are_in_the_repository() -> None:
    """Other than those of a commit, as in ``git show COMMIT:FILE``."""
    folders = ("core", "tui", "tests", "docs")
    files = [ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("*.md")]
    files += [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md")]
    for file in files:
        for cited in re.findall(r"(?<!:)(?:docs/[\w-]+|\b[A-Z]{3,})\.md\b", file.read_text(encoding="utf-8")):
            places = (ROOT, file.parent, ROOT / "docs")
            assert any((place / cited.lstrip("/")).is_file() for place in places), f"{file} cites {cited}"


def test_table_of_features_defines_every_built_in_one() -> None:
    table = text_of("docs/insight.md").split("### The built-in features")[1].split("\n## ")[0]
    lines = [re.split(r"(?<!\\)\|", line)[1:4] for line in table.splitlines() if "| `" in line]
    every, words = ("prose", "program", "tunes"), {"program": "programs"}
    expected = [
        [f"`{name}`", each.kind, "all" if each.texts == every else ", ".join(words.get(it, it) for it in each.texts)]
        for name, each in BUILT_IN.items()
    ]
    assert [[cell.strip() for cell in line] for line in lines] == expected


def with_table(text: str, *rows: Sequence[str]) -> str:
    """``text`` with the table whose heading is the first of ``rows`` replaced by these, as mdformat writes it: with
    a backslash before brackets outside code."""
    plain = (f"| {' | '.join(cells)} |\n" for cells in rows)
    lines = [re.sub(r"(`[^`]*`)|(?=[][])", lambda found: found[0] or "\\", line) for line in plain]
    lines.insert(1, "| -- " * len(rows[0]) + "|\n")
    before, heading, after = text.partition(lines[0])
    assert heading, f"There is no table with the heading {lines[0]}"
    return before + "".join(lines) + re.sub(r"^(\|.*\n)*", "", after)


def with_sampler_settings(text: str) -> str:
    """The settings of the sampler, and the order in which they apply."""
    declared = setting_fields(SamplerSettings)
    rows = [
        (f"`{name}`", f"`{each.option_name}`" if each.option else "", each.write(each.default), each.takes, each.about)
        for name, each in declared.items()
    ]
    order = ", ".join(("repetition", "temperature", *(declared[name].label for name in FILTERS)))
    text = re.sub(r"(?<=They apply in this order: )[^.]*", order, text)
    return with_table(text, ("setting", "option", "default", "takes", "what"), *rows)


def with_events(text: str) -> str:
    """The events of a run with their fields, other than those that all have."""
    common = {each.name for each in fields(Event)}
    rows = [
        (f"`{kind.name}`", ", ".join(f"`{each.name}`" for each in fields(kind) if each.name not in common))
        for kind in get_args(AnyEvent)
    ]
    return with_table(text, ("event", "fields"), *rows)


def with_configuration(text: str) -> str:
    """The entries of the configuration."""
    rows = [
        (f"`{name}`", f"`{written(each.default)}`", re.sub('("[^"]+")', r"`\1`", each.about))
        for name, each in setting_fields(Config).items()
    ]
    rows.append(("`keys`", "none", "keys by action, see below"))
    return with_table(text, ("entry", "default", "what"), *rows)


def with_json(text: str) -> str:
    """The fields that each command prints with --json, and when some of them are null or missing."""
    commands: dict[tuple[str, str], list[str]] = {}
    for command, schema in RESULTS.items():
        absences: dict[str, list[str]] = {}
        printed = shown_fields(schema, absences, command)
        when = "; ".join(f"{', '.join(names)}: {words}" for words, names in absences.items())
        commands.setdefault((printed, when), []).append(f"`{command}`")
    rows = [(", ".join(names), *row) for row, names in commands.items()]
    return with_table(text, ("command", "prints", "null or missing"), *rows)


def shown_fields(schema: Any, absences: dict[str, list[str]], command: str) -> str:
    """The fields of a schema and of the objects within it; ``{…}`` is an object, ``[…]`` a
    list. ``absences`` gets those that may be null or missing, by the words in which their description says when."""
    if not (named := json_fields(schema)):
        found = [part for each in parts_of(schema) if (part := shown_fields(each, absences, command))]
        is_list = isinstance(schema, list) or get_origin(schema) in (list, tuple)
        return f"[{found[0]}]" if found and is_list else "".join(found)
    printed_by = next((name for name, other in RESULTS.items() if schema in parts_of(other)), command)
    if printed_by.split()[0] != command.split()[0]:
        return f"as `{printed_by}`"
    about = descriptions(schema)
    parts = []
    for name, hint in named.items():
        if re.search("None|Optional|NotRequired", str(hint)):
            sentences = re.split(r"(?<=\.)\s+|;\s+", about.get(name, ""))
            when = next((each for each in sentences if "None" in each or each.startswith("Only")), "")
            assert when, f"{command}: the description of {name} does not say when it is null or missing"
            when = re.sub("^Only", "only", re.sub(r"\bNone\b", "`null`", when.rstrip(".").replace("``", "`")))
            absences.setdefault(when, []).append(f"`{name}`")
        parts.append(f"`{name}` {shown_fields(hint, absences, command)}".strip())
    return f"{{{', '.join(parts)}}}"


GENERATED: dict[str, Callable[[str], str]] = {
    "docs/json.md": with_json,
    "docs/command-line.md": with_sampler_settings,
    "docs/configuration.md": with_configuration,
    "docs/files.md": with_events,
}
"""What writes the generated parts of a document again, from the document as it is."""


@pytest.mark.parametrize("document", GENERATED)
def test_generated_parts_are_those_of_their_declarations(document: str) -> None:
    assert text_of(document) == GENERATED[document](text_of(document)), "write it again: make documents"


EXAMPLE = ROOT / "docs" / "example.py"


def test_example_uses_every_public_name() -> None:
    nodes = ast.walk(ast.parse(EXAMPLE.read_text(encoding="utf-8")))
    used = [node for node in nodes if isinstance(node, ast.Attribute)]
    assert {node.attr for node in used if ast.unparse(node.value) == "charlstm"} == {*charlstm.__all__, "__version__"}


@pytest.mark.usefixtures("training_here")
def test_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "small.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. The end\n" * 400, encoding="utf-8")
    for name in ("CACHE", "STATE", "RUNS"):
        monkeypatch.setenv(f"CHARLSTM_{name}", str(tmp_path / name.lower()))
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(text)])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # With its usual niceness a run would wait for the tests beside this one.
    small = "threads=1, niceness=0, batch_size=4, seq_length=16, "
    script = EXAMPLE.read_text(encoding="utf-8").replace("threads=1, ", small)
    assert small in script
    exec(compile(script, EXAMPLE, "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert re.search(r"^40 \d\.\d{3} nats per character on held-out text$", printed, re.M)
    assert re.search(r"^\['example'\] \d+ \[", printed, re.M)
    assert printed.splitlines()[-1].startswith("There is no run 'no such run'")


if __name__ == "__main__":
    for name, generated in GENERATED.items():
        (ROOT / name).write_text(generated(text_of(name)), encoding="utf-8")
