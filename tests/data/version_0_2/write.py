"""Write the sessions beside this file, with what is in them in ``expected.json``.

They are kept as version 0.2 wrote them, to show that later versions read them: this script has to be run with the code
of 0.2, and writes into the folder that it is given.

    python tests/data/version_0_2/write.py FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from charlstm.generation.editor import Editor
from charlstm.generation.saving import copy, load_session, save_session

from charlstm.generation.clamp import Clamp
from charlstm.generation.sampling import SamplerSettings
from charlstm.generation.session import Session
from charlstm.model.file import Model, ModelConfig, save_model
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary
from charlstm_tui.player.state import FULL, PlayRequest
from charlstm_tui.player.thread import Player

SYMBOLS = "\n ',-.ABIMTabcdefghiklmnoprstuvwy"


def tiny_model() -> Model:
    """A random model of two layers of six cells."""
    config = ModelConfig(len(SYMBOLS), 6, 2)
    random = np.random.default_rng(7)
    weights = {name: random.normal(0, 0.7, shape).astype(np.float32) for name, shape in config.shapes.items()}
    return Model(config, Vocabulary(SYMBOLS), weights, TextOptions(), {"prime": "The morning", "run": "tiny"})


def other(session: Session) -> str:
    """A character that is not the one at the cursor."""
    return "a" if session.read(session.position, session.position + 1) != "a" else "b"


def branches(model: Model) -> Editor:
    """Branches within branches, with names; characters of all three sources; held cells; unknown characters."""
    session = Session(
        model, "A morning [Ω] by the sea", seed=11, sample=3, settings=SamplerSettings(temperature=0.9),
        clamps=(Clamp(1, 2, factor=0.5), Clamp(2, 3, value=-1.25)),
    )  # fmt: skip
    list(session.stream(120))
    session.rewind(70)
    session.choose(other(session))
    list(session.stream(50))
    session.rename(1, "the second one")
    session.rewind(90)
    session.type("But I was there.\n")
    list(session.stream(30))
    session.rename(2, "naïve, [bold]")
    session.switch(0)
    session.rewind(40)
    session.choose(other(session))
    session.seed = 12
    list(session.stream(20))
    pruned = 3
    session.switch(0, 30)
    session.prune(pruned)
    session.type("It ends.")
    session.switch(2, 100)
    return Editor(session)


def mirostat(model: Model) -> Editor:
    """Mirostat in a part of the text, then another sampler, then mirostat again on another branch."""
    session = Session(model, "The", seed=5, settings=SamplerSettings(mirostat=2.5, mirostat_rate=0.2))
    list(session.stream(100))
    session.settings = SamplerSettings(top_k=8, repetition=1.5, repetition_length=4, repetition_range=40)
    list(session.stream(60))
    session.rewind(50)
    session.choose(other(session))
    session.settings = SamplerSettings(mirostat=3.0)
    list(session.stream(70))
    return Editor(session)


def no_prime(model: Model) -> Editor:
    """A text without a prime, which ends in the middle of its branch, with the cursor before its end."""
    session = Session(model, "", seed=2**63, settings=SamplerSettings(typical=0.9, min_p=0.01))
    list(session.stream(90))
    session.rewind(60)
    session.cut()
    session.rewind(20)
    return Editor(session)


def edited(model: Model) -> Editor:
    """A text that was edited near its beginning, so that the model has not read what follows; and undone edits."""
    editor = Editor(Session(model, "In the morning", seed=4))
    for _ in range(80):
        editor.step()
    editor.move(30)
    for char in "all of it, ":
        editor.insert(char)
    editor.erase(before=2, after=5)
    editor.move(10)
    editor.insert("I am")
    editor.undo()
    editor.insert("The man")
    return editor


def prime_in_text(model: Model) -> Editor:
    """A text into which the prime was taken, edited in what was the prime; nothing was read again since."""
    editor = Editor(Session(model, "The morning at the sea", seed=6, clamps=(Clamp(1, 1, value=0.1),)))
    for _ in range(60):
        editor.step()
    editor.insert("and then")
    editor.session.choose(other(editor.session))
    editor = editor.without_prime()
    editor.move(4)
    editor.insert("bright ")
    return editor


SESSIONS: dict[str, Callable[[Model], Editor]] = {
    "branches": branches,
    "mirostat": mirostat,
    "no-prime": no_prime,
    "edited": edited,
    "prime-in-text": prime_in_text,
}


def write_in_app(path: Path, folder: Path) -> tuple[Path, Editor]:
    """Write a session as the app does by itself: in Write, at the beginning of a text that the model wrote."""
    os.environ["HOME"] = os.environ["XDG_STATE_HOME"] = str(folder)
    player = Player(lambda: None)
    player.start()
    playback: Any = None

    def wait(condition: Callable[[], object]) -> None:
        while not condition():
            time.sleep(0.05)
            player.collect()

    player.load(PlayRequest(str(path), prime="The morning", speed=FULL, seed=9))
    player.stream(150)
    wait(lambda: 0 in player._playbacks)
    playback = player._playbacks[0]
    wait(lambda: playback.editor is not None and len(playback.editor) == 150 and not playback.running)
    player.choose("a", 100)
    player.generate_one()
    player.set_writing(True)
    player.take_in_prime()
    player.move_to(4)
    for char in "cold ":
        player.insert_at_cursor(char)
    wait(lambda: not player._commands and not playback.waiting)
    player.close(60)
    return playback.file, playback.editor


def facts(editor: Editor) -> dict[str, Any]:
    """What has to be the same when the session is loaded."""
    session = editor.session
    branches = [
        {
            "number": number,
            "parent": next((key for key, each in session.tree.items() if each is branch.parent), None),
            "start": branch.start,
            "name": branch.name,
            "text": session.model.vocabulary.decode(branch.slice(branch.start, branch.stop)["id"]),
            "sources": "".join(map(str, branch.slice(branch.start, branch.stop)["source"].tolist())),
        }
        for number, branch in session.tree.items()
    ]
    return {
        "prime": session.prime,
        "unknown": session.unknown,
        "text": editor.text,
        "sources": "".join(map(str, editor.rows()["source"].tolist())),
        "rest": len(editor.rest),
        "position": session.position,
        "seed": session.seed,
        "sample": session.sample,
        "settings": session.settings.to_dict(),
        "clamps": [[clamp.layer, clamp.cell, clamp.value, clamp.factor] for clamp in session.clamps],
        "branches": branches,
    }


def figures(path: Path, model: Model) -> dict[str, Any]:
    """The probabilities of the text after it was loaded, and what is generated at its end."""
    session = load_session(path, model)
    rows = session.rows()
    session.rewind(len(session))
    continued = "".join(step.char for step in session.stream(40))
    return {"probabilities": [round(float(one), 6) for one in rows["probability"]], "continued": continued}


def main(folder: Path) -> None:
    model = tiny_model()
    path, expected = folder / "model.safetensors", {}
    save_model(path, model)
    for name, make in SESSIONS.items():
        editor, file = make(model), folder / f"{name}.json"
        if len(editor.rest):
            file.write_bytes(copy(editor.session, editor.rest, edited=True, model="tiny")())
        else:
            save_session(editor.session, file)
        expected[name] = facts(editor) | figures(file, model)
    written, editor = write_in_app(path, folder / "home")
    file = folder / "auto-20261127-203000.json"
    file.write_bytes(written.read_bytes())
    expected[file.stem] = facts(editor) | figures(file, model)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
