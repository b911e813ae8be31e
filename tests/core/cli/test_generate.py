"""`charlstm generate`: samples, stop strings, --show-probs and sampler options."""

import io
import re
from pathlib import Path

import pytest

from charlstm.cli.generate import unescaped
from command_line import Cli
from recorded_run import record

pytestmark = pytest.mark.usefixtures("workspace")


def test_samples_generates_several_texts(cli: Cli) -> None:
    ask = ("generate", "fox", "--prime", "the ", "--samples", "5", "--length", "40")
    texts = cli.json(*ask)["texts"]
    assert [len(text) for text in texts] == [40] * 5
    assert len(set(texts)) > 1
    assert cli.json(*ask)["texts"] == texts
    assert cli(*ask)[0] == "\n--------\n".join(f"the {text}" for text in texts) + "\n"


@pytest.mark.parametrize("how", [["--stop", r"\n"], ["--until", "line"], ["--stop", "!!", "--stop", "\n"]])
def test_generate_ends_at_stop_strings(cli: Cli, how: list[str]) -> None:
    ask = ("generate", "fox", "--prime", "the quick ", "--length", "500", *how)
    assert cli.json(*ask)["text"].index("\n") == len(cli.json(*ask)["text"]) - 1
    assert all(text.index("\n") == len(text) - 1 for text in cli.json(*ask, "--samples", "3")["texts"])


def test_model_from_before_training_is_said_to_be_one(workspace: Path, cli: Cli) -> None:
    note = "still the one from before training and writes noise"
    ask = ("generate", "young", "--length", "3")
    with record(workspace / "runs", "running", steps=0, name="young") as worker:
        assert f"{note}: try again when it has learnt something" in cli(*ask)[1]
        assert cli(*ask, "--snapshot", "0")[1] == ""  # asked for
        worker.advance(50)
        assert cli(*ask)[1] == ""
    early = record(workspace / "runs", "stopped", steps=0, name="early").run
    assert cli("generate", "early", "--length", "3")[1].rstrip().endswith(note)
    assert cli("generate", str(early.model_path), "--length", "3")[1] == ""


@pytest.mark.parametrize("ask", ["generate", "generate --samples 2", "generate --checkpoints"])
def test_letter_with_an_accent_that_the_model_does_not_know_is_read_plainly(cli: Cli, ask: str) -> None:
    """As the app reads it; what has no plain form is read as a space."""
    words = [*ask.split(), "fox", "--length", "3"]
    out, err = cli(*words, "--prime", "thé 你")
    assert out.replace("thé 你", "the  ") == cli(*words, "--prime", "the  ")[0]
    assert [word in err for word in ("é (", "read as e; 你", "read as a space")] == [True] * 3


def test_unescaped_replaces_escapes() -> None:
    assert unescaped(r"a\nb\tc\\n\x41\u00e9\q") == "a\nb\tc\\nAé\\q"


def test_show_probs_lists_alternatives_of_each_character(cli: Cli) -> None:
    ask = ("generate", "fox", "--prime", "the ", "--length", "6", "--show-probs")
    found = cli.json(*ask)
    assert "".join(step["char"] for step in found["steps"]) == found["text"]
    lines = cli(*ask, "--top-k", "2", "--temperature", "0.5")[0].splitlines()
    assert len(lines) == 6
    first, second, *others = re.findall(r"\S (\d+)%(?: \((\d+)%\))?( cut)?", lines[0].split("  rank ")[1])
    assert sum(int(sampled or own) for own, sampled, _ in (first, second)) == pytest.approx(100, abs=1)
    assert all(cut for *_, cut in others)


def test_sampler_options_change_the_text(cli: Cli) -> None:
    def text(*how: str) -> str:
        return str(cli.json("generate", "fox", "--prime", "the ", "--length", "80", *how)["text"])

    greedy, plain = text("--temperature", "0"), text()
    assert text("--top-k", "1") == text("--sampler", "reference", "--top-k", "1") == greedy
    assert text("--temperature", "0", "--repetition", "50") != greedy  # which repeats itself
    for how in (["--top-p", "0.1"], ["--seed", "1"]):
        assert text(*how) != plain


def test_several_primes_are_continued_at_once_each_as_alone(cli: Cli) -> None:
    ask, separator = ("generate", "fox", "--length", "20", "--samples", "2"), "\n--------\n"
    alone = [cli(*ask, "--prime", prime)[0].rstrip("\n") for prime in ("the ", "a lazy dog")]
    both = (*ask, "--prime", "the ", "--prime", "a lazy dog")
    assert cli(*both)[0] == separator.join(alone) + "\n"
    assert len(cli.json(*both)["texts"]) == 4
    assert len(cli.json("generate", "fox", "--length", "3", "--prime", "a", "--prime", "b")["texts"]) == 2


def test_prime_is_read_from_a_file_and_a_pipe(workspace: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, prime = ("generate", "fox", "--length", "20", "--prime-file"), "the lazy\ndog "
    written = cli("generate", "fox", "--length", "20", "--prime", prime)
    for mark in ("", "\ufeff"):  # which editors on Windows write
        (workspace / "prime.txt").write_text(mark + prime, encoding="utf-8")
        monkeypatch.setattr("sys.stdin", io.StringIO(mark + prime))
        assert cli(*ask, "-") == cli(*ask, "prime.txt") == written
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9 "), encoding="utf-8"))
    out, err = cli(*ask, "-")
    assert out.startswith("caf\ufffd ")
    assert "U+FFFD" in err
