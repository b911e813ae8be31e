"""Playing a model in a real terminal: prime, stream, change, walk back, branch, save, come back, export."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charlstm.generation.rows import CHOSEN
from charlstm.generation.session_file import load_session
from charlstm.model.file import load_model, save_model
from recorded_run import tiny_model
from terminal_app import Terminal, machine, restored

__all__ = ["machine"]  # a fixture

pytestmark = pytest.mark.terminal

PRIME = "She said"


def chars(app: Terminal) -> int:
    """How many characters the status line counts, with the prime."""
    counted = re.search(r"([\d,]+) chars", app.text)
    return int(counted[1].replace(",", "")) if counted else 0


def save_as(app: Terminal, name: str) -> None:
    app.press_at_once("ctrl+s", name, "enter")
    app.until(lambda: re.search(f"(Saved as|Exported to) .*{re.escape(name)}", app.text) is not None)


def test_a_session_from_prime_to_export(machine: tuple[Path, dict[str, str]]) -> None:
    home, environment = machine
    model = home / "tiny.safetensors"
    save_model(model, tiny_model(prime="The morning"))

    app = Terminal(["--model", model.name], home, environment)
    app.until("The morning")
    app.press_at_once("e", "ctrl+u", PRIME)
    app.until(f"Prime  {PRIME}")
    app.key("enter")
    app.key("c", "c", "c")  # the legend leaves no place for the count of characters
    app.until("no colours")
    app.until(
        lambda: PRIME in app.text.split("Prime  ")[1][20:] and chars(app) > len(PRIME) + 5
    )  # it streams from there
    app.key("T", "T")  # in flight
    app.until("0.90")
    made = chars(app)
    app.until(lambda: chars(app) > made + 10)
    app.key("space")
    app.until("‖ paused")
    made = chars(app)
    app.key("left", "left", "left", "left", "enter")
    app.until("CHOOSE")
    app.key("7")  # a random model's seventh guess is not what stands there
    app.until(lambda: chars(app) == made - 3)
    app.key("b")
    app.until(lambda: "BRANCHES" in app.text and "└" in app.text)
    app.key("escape")
    save_as(app, "mine.json")
    app.key("q")
    assert app.end() == 0
    assert restored(app.raw)

    saved = load_session(home / "mine.json", load_model(model))
    assert (saved.prime, len(saved), len(saved.branches())) == (PRIME, made - 3 - len(PRIME), 2)
    assert saved.settings.temperature == 0.9
    assert saved.at(made - 4 - len(PRIME)).source == CHOSEN
    saved.switch(0)
    assert len(saved) == made - len(PRIME)

    again = Terminal(["--model", model.name], home, environment)
    again.until("last session")  # it saved itself, too
    again.key("space")
    again.until("‖ paused")
    again.press_at_once("o", "mine.json", "enter")
    again.until(lambda: chars(again) == made - 3)
    again.until("0.90")
    save_as(again, "mine.html")
    save_as(again, "mine.txt")
    again.key("q")
    assert again.end() == 0
    assert restored(again.raw)

    saved = load_session(home / "mine.json", load_model(model))
    assert (home / "mine.txt").read_text() == PRIME + saved.read()
    page = (home / "mine.html").read_text()
    assert page.startswith("<!doctype html>")
    assert PRIME in page
