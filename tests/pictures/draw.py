"""Draws the README's moving picture: the real app trains on a text and plays the model, in a folder of its own.

    python tests/pictures/draw.py [--text FILE] [--out FILE]

Trains the preset `quick` for its minute, and shows the minute in six seconds.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from moving import COLUMNS, ROWS, MovingPicture
from textual.pilot import Pilot

TIMEOUT = 300.0


async def film(text: str, runs: Path) -> MovingPicture:
    """What the app shows: a minute of training, text that streams, and another character taken."""
    from charlstm_tui.app import CharLSTMApp
    from charlstm_tui.choices import StartOptions

    app, picture = CharLSTMApp(StartOptions(text=text, runs_dir=runs)), MovingPicture()

    def shows(*words: str) -> bool:
        lines = "\n".join("".join(each.text for each in strip) for strip in app.screen._compositor.render_strips())
        return all(word in lines for word in words)

    def ended() -> bool:
        run = app.runs_state.attached_run
        return run is not None and not run.live

    async def until(
        pilot: Pilot[None], condition: Callable[[], object], *, every: float = 0.1, each: float = 0.0
    ) -> None:
        """Wait for ``condition``, at most :data:`TIMEOUT` seconds; meanwhile show the screen of each time for ``each``
        seconds."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit("the app does not come to what the picture should show")
            await pilot.pause(every)
            if each:
                picture.add(app.screen._compositor.render_strips(), each)

    async def keys(pilot: Pilot[None], *names: str, each: float) -> None:
        for name in names:
            await pilot.press(name)
            await pilot.pause(0.3)
            picture.add(app.screen._compositor.render_strips(), each)

    async def stream(pilot: Pilot[None], seconds: float) -> None:
        end = time.monotonic() + seconds
        await until(pilot, lambda: time.monotonic() > end, each=0.1)

    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await until(pilot, lambda: shows("compressor (xz)"))
        picture.add(app.screen._compositor.render_strips(), 1.5)
        await pilot.press("enter")
        await until(pilot, lambda: shows("Enter start"))
        picture.add(app.screen._compositor.render_strips(), 1.5)
        await pilot.press("enter")
        await until(pilot, ended, every=2.0, each=0.2)
        await until(pilot, lambda: shows("Finished"))
        picture.add(app.screen._compositor.render_strips(), 1.5)
        await pilot.press("enter")
        await until(pilot, lambda: shows("ch/s"))
        await stream(pilot, 4)
        await keys(pilot, "space", *["left"] * 12, each=0.15)
        await keys(pilot, "enter", "down", "down", each=0.8)
        await keys(pilot, "enter", "space", each=0.5)
        await stream(pilot, 3)
        picture.add(app.screen._compositor.render_strips(), 2)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", default="python-reference", help="a file, or a text that Python or charlstm has")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("moving.svg"))
    asked = parser.parse_args()
    out = asked.out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"COLORTERM": "truecolor", "TERM": "xterm-256color"}
        os.environ |= {"CHARLSTM_STATE": f"{folder}/state", "CHARLSTM_CACHE": f"{folder}/cache", "HOME": folder}
        place = Path(folder) / "charlstm"  # the picture shows ~/charlstm, not a path of this machine
        place.mkdir()
        text = asked.text
        if Path(text).exists():
            text = shutil.copy(text, place / Path(text).name)
        os.chdir(place)
        picture = asyncio.run(film(str(text), place / "runs"))
        os.chdir(out.parent)
    out.write_text(picture.svg(), encoding="utf-8")
    print(f"Drawn into {out}: {picture.seconds:.0f} s, {out.stat().st_size / 2**20:.1f} MB")


if __name__ == "__main__":
    main()
