"""Numbers that a user gives are limited, or limited by what they count; a lack of memory is said in one sentence."""

from __future__ import annotations

import json

import click
import pytest

from charlstm.cli.main import run
from charlstm.line import TerminalLine
from command_line import Cli, all_commands

pytestmark = pytest.mark.usefixtures("workspace")

LIMITED_BY_WHAT_THEY_COUNT = {
    *("--max-chars", "--fold-rare", "--at"),  # the text
    *("--top", "--per-feature", "--top-k", "--snapshot", "--limit"),  # what there is to show or to choose from
    *("--seed", "--timeout", "VALUE"),  # no counts
}


def test_every_number_has_a_limit_or_is_limited_by_what_it_counts() -> None:
    for command, parameter in ((name, each) for name, found in all_commands() for each in found.params):
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.human_readable_name
        if isinstance(parameter.type, click.types.IntParamType) and name not in LIMITED_BY_WHAT_THEY_COUNT:
            assert isinstance(parameter.type, click.IntRange), (command, name)
            assert parameter.type.max is not None, (command, name)


@pytest.mark.parametrize(
    ("words", "stage"),
    [
        ("multiverse fox --depth 3", "computing"),
        ("multiverse fox --words 3", "computing"),
        ("influence fox data/fox.txt --back 30", "explaining"),
        ("generate fox --length 5 --json", "generating"),
    ],
)
def test_long_work_shows_progress(cli: Cli, monkeypatch: pytest.MonkeyPatch, words: str, stage: str) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(TerminalLine, "draw", lambda self, part, words: drawn.append(words))
    cli(*words.split())
    assert stage in drawn


def test_lack_of_memory_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("charlstm.engine.evaluation.evaluate", fail)
    capsys.readouterr()
    assert run(["eval", "fox", "--json"]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err.splitlines()[-1])["error"]["kind"] == "memory"
    assert run(["eval", "fox"]) in (1, 2)
    assert capsys.readouterr().err.splitlines()[-1].startswith("charlstm: There is not enough memory: ")
    monkeypatch.setattr("charlstm.engine.evaluation.evaluate", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # a mistake in the program is not called something else
        run(["eval", "fox"])
