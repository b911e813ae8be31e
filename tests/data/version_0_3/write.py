"""Write the sessions beside this file, with what is in them in ``expected.json``.

They are kept as version 0.3 wrote them, to show that later versions read them: this script has to be run with the code
of 0.3. The model is the one of ``run``, which ``write_killed_run.py`` wrote.

    python tests/data/version_0_3/write.py
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charlstm.generation.saving import load_session, save_session

from charlstm.generation.clamp import Clamp
from charlstm.generation.session import Session
from charlstm.model.file import load_model
from charlstm_tui.player import operations as do
from charlstm_tui.player.playback import SeenPosition
from charlstm_tui.player.state import FULL, PlayRequest
from charlstm_tui.player.thread import Player

HERE = Path(__file__).parent
HOME = Path("/tmp/reader")
RUN = HOME / "run"
MODEL = RUN / "model.safetensors"
EDITED = (
    (do.CHOOSE, "w", 70), *[(do.GENERATE_ONE,)] * 20, (do.RENAME, 1, "the wind, [bold]"), (do.REGENERATE, 90),
    *[(do.GENERATE_ONE,)] * 12, (do.SWITCH, 0), (do.SET_WRITING, True), (do.MOVE_TO, 40), (do.INSERT, "an"),
    (do.INSERT, "other "), (do.ERASE, 2, 3), (do.CHOOSE, "re", 25), (do.INSERT, "undone"), (do.UNDO,),
    (do.MOVE_TO, 60), (do.INSERT, "\n\nUnder the hill, "),
)  # fmt: skip
IN_PRIME = (
    (do.SET_WRITING, True), (do.MOVE_TO, 4), (do.INSERT, "café "), (do.MOVE_TO, 30), (do.ERASE, 0, 5), (do.UNDO,),
)  # fmt: skip
SESSIONS: dict[str, tuple[tuple[Any, ...], ...]] = {"edited": EDITED, "in-prime": IN_PRIME}


def play(name: str) -> dict[str, Any]:
    """Write a session as the app does by itself: ``name.json`` as it is while the app runs, which a killed one leaves,
    and ``name-closed.json`` after it was closed. Returns what is in both."""
    player = Player(lambda: None)
    player.start()

    def wait(condition: Callable[[], object]) -> None:
        player.collect()
        while player._commands or player._playbacks[0].waiting or not condition():
            time.sleep(0.02)
            player.collect()

    player.load(PlayRequest(str(MODEL), prime="The old boat", speed=FULL, seed=9))
    wait(lambda: 0 in player._playbacks and player._playbacks[0].is_open)
    playback = player._playbacks[0]
    player.do(do.CHANGE_CLAMPS, lambda clamps: (Clamp(1, 2, factor=0.5), Clamp(1, 3, value=-0.25)))
    player.do(do.STREAM, 150)
    wait(lambda: len(playback.document) == 162 and not playback.running)
    player.change_speed(lambda speed: 0.0)
    for operation, *arguments in SESSIONS[name]:
        if operation in (do.CHOOSE, do.REGENERATE, do.MOVE_TO):
            arguments[-1] = SeenPosition(arguments[-1], playback.document.version)
        player.do(operation, *arguments)
        wait(lambda: True)
    player.change_settings(lambda settings: settings.with_changes(top_k=6, temperature=0.7))
    player.give_title("Light – on the hill")
    wait(lambda: not player._is_unsaved(playback) and playback.title and player.file)
    assert player._saver.write_all(60)
    assert player.file is not None
    path, written = player.file, player.file.read_bytes()
    document = playback.document
    facts = {
        "text": document.text.read(),
        "sources": "".join(map(str, document.text.sources().tolist())),
        "prime_length": document.prime_length,
        "cursor": document.cursor,
        "seed": document.seed,
        "title": playback.title,
        "settings": playback.reader.settings.to_dict(),
        "clamps": [[each.layer, each.cell, each.value, each.factor] for each in playback.reader.clamps],
        "branches": [
            {"number": number, "name": branch.name, "text": branch.kept.read()}
            for number, branch in document.branches.items()
        ],
    }
    player.close(60)
    (HERE / f"{name}.json").write_bytes(written)
    (HERE / f"{name}-closed.json").write_bytes(path.read_bytes())
    return facts


def by_library() -> dict[str, Any]:
    """Write a session as a notebook does."""
    session = Session(load_model(MODEL), "A hill", seed=4, temperature=0.8)
    list(session.stream(60))
    session.rewind(30)
    session.type("again; ")
    list(session.stream(20))
    session.rename(1, "rain")
    save_session(session, HERE / "library.json")
    texts = []
    for number, branch in session.tree.items():
        session.switch(number)  # the last one was current
        texts.append((number, branch.name, session.text))
    return {
        "text": session.prime + session.text,
        "sources": "1" * len(session.prime) + "".join(map(str, session.rows()["source"].tolist())),
        "prime_length": len(session.prime),
        "cursor": len(session.prime) + session.position,
        "seed": session.seed,
        "title": "",
        "settings": session.settings.to_dict(),
        "clamps": [],
        "branches": [{"number": each, "name": name, "text": session.prime + text} for each, name, text in texts],
    }


def continued(path: Path) -> dict[str, Any]:
    """The probabilities of the text after it was loaded, and what is generated at its end."""
    session = load_session(path, load_model(MODEL))
    rows = session.rows()
    session.rewind(len(session))
    text = "".join(step.char for step in session.stream(40))
    return {"probabilities": [round(float(one), 5) for one in rows["probability"]], "continued": text}


def main() -> None:
    os.environ["HOME"] = os.environ["XDG_STATE_HOME"] = str(HOME)
    shutil.copytree(HERE / "run", RUN)
    expected = {name: play(name) for name in SESSIONS} | {"library": by_library()}
    for name, facts in expected.items():
        facts |= continued(HERE / f"{name}.json")
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1))
    shutil.rmtree(HOME)


if __name__ == "__main__":
    main()
