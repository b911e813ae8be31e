"""The output of --json has the documented schemas, and errors are JSON too."""

import itertools
import json
import math
import shlex
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from charlstm.errors import ExitCode
from command_line import Cli
from command_results import RESULTS, json_fields, parts_of

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("workspace")]


def check(value: Any, schema: Any, where: str = "") -> None:
    """Assert that ``value`` is JSON of type ``schema``: no field is missing, unknown or of another type."""
    origin, args = list if isinstance(schema, list) else typing.get_origin(schema), parts_of(schema)
    if hints := json_fields(schema):
        required = {name for name, hint in hints.items() if typing.get_origin(hint) is not typing.NotRequired}
        assert required <= value.keys() <= hints.keys(), where
        for name, each in value.items():
            check(each, hints[name], f"{where}.{name}")
    elif origin is typing.NotRequired:
        check(value, args[0], where)
    elif origin in (list, tuple, Sequence):
        assert isinstance(value, list), where
        kinds = args if origin is tuple and ... not in args else itertools.repeat(args[0], len(value))
        for each, kind in zip(value, kinds, strict=True):
            check(each, kind, f"{where}[]")
    elif origin in (dict, Mapping):
        assert isinstance(value, dict), where
        for each in value.values():
            check(each, args[1], f"{where}{{}}")
    elif origin in (types.UnionType, typing.Union):
        [kind] = [each for each in args if each is not types.NoneType]
        assert value is None or check(value, kind, where) is None
    elif origin is typing.Literal:
        assert value in args, where
    elif schema is not Any and schema is not object:
        schema = str if schema is Path else schema
        assert isinstance(value, (int, float) if schema is float else schema), f"{where}: {value!r}"


OUTPUTS = """
corpora | corpora
fetch | fetch
stats | stats data/fox.txt
presets | presets
presets --settings | presets --settings
queue list | queue list
runs | runs
tag | tag fox good
note | note fox 'a note'
generate | generate fox --length 5
generate | generate fox --length 5 --samples 2
generate | generate fox --length 5 --show-probs
generate | generate fox --length 5 --checkpoints
eval | eval fox
eval | eval fox data/fox.txt --max-chars 99
eval | eval fox data/fox.txt --max-chars 99 --dynamic
score | score fox data/fox.txt --max-chars 99
score | score fox data/fox.txt --max-chars 99 --dynamic
score --against | score fox data/fox.txt --max-chars 99 --against demo
novelty | novelty data/fox.txt --model fox
info | info fox
info | info demo
export | export fox --to script --out fox.net --force
import | import fox.net --out fox.safetensors --force
compare | compare fox
log | log fox --to tensorboard
log | log fox --to jsonl --out fox.jsonl
sweep | sweep data/fox.txt --grid lr=1e-3,1e-2 --max-steps 4 --set hidden_size=4 --set threads=1 --set kernel=nn
prune | prune fox
cells | cells fox data/fox.txt
report | report fox --out page.html
config init | config init --config mine.toml
cache prune | cache prune
"""
"""The name of a schema, and a command."""


@pytest.mark.parametrize("line", OUTPUTS.strip().split("\n"))
def test_json_output_has_its_schema(line: str, cli: Cli) -> None:
    name, _, words = line.partition(" | ")
    if name == "import":
        cli("export", "fox", "--to", "script", "--out", "fox.net", "--force")
    check(cli.json(*shlex.split(words)), RESULTS[name])


def test_loss_is_the_same_in_every_command(cli: Cli) -> None:
    score = cli.json("score", "fox", "data/fox.txt", "--max-chars", "99")
    [run] = [row for row in cli.json("runs") if row["name"] == "fox"]
    assert cli.json("eval", "fox")["loss"] == cli.json("info", "fox")["loss"] == run["loss"]
    assert score["bits_per_char"] == pytest.approx(score["loss"] / math.log(2))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("usage", ("generate", "fox", "--length", "x")),
        ("text", ("stats", "nowhere.txt")),
        ("model", ("info", "nowhere.safetensors")),
        ("settings", ("train", "data/fox.txt", "--lr", "-1")),
        ("run", ("watch", "nobody")),
        ("usage", ("generate", "fox", "--clamp", "1")),
        ("generation", ("generate", "fox", "--prime", "the", "--clamp", "9:9=0")),
        ("system", ("generate", "fox", "--prime-file", "nowhere")),
    ],
)
def test_errors_are_json_on_stderr(cli: Cli, kind: str, words: tuple[str, ...]) -> None:
    code = ExitCode.WRONG_USAGE if kind in ("usage", "settings") else ExitCode.FAILED
    out, err = cli(*words, "--json", code=code)
    assert out == ""
    error = json.loads(err.splitlines()[-1])
    check(error, {"error": {"kind": str, "message": str}})
    assert error["error"]["kind"] == kind
    assert error["error"]["message"] in cli(*words, code=code)[1]


def test_interrupt_is_json_on_stderr(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("charlstm.runs.folder.list_runs", interrupt)
    assert json.loads(cli("runs", "--json", code=130)[1])["error"]["kind"] == "interrupted"
