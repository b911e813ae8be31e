"""Draws the README's pictures: the real app on a real run, in a folder of its own.

    python tests/pictures/draw.py [--size 104x30] [--out FOLDER]

Trains the preset `quick` on the Python reference for its minute, and exports what each mode shows as SVG on the way.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

TIMEOUT = 180.0
TEXT = "python-reference"


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait for ``condition``, at most :data:`TIMEOUT` seconds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the app does not come to what the picture should show")
        await pilot.pause(0.1)


async def draw(out: Path, size: tuple[int, int], runs: Path) -> None:
    from charlstm_tui.app import CharLSTMApp
    from charlstm_tui.choices import StartOptions
    from charlstm_tui.generate.screen import GenerateScreen

    app = CharLSTMApp(StartOptions(text=TEXT, runs_dir=runs))

    def shoot(name: str) -> None:
        (out / f"{name}.svg").write_text(app.export_screenshot(title="charlstm-tui"), encoding="utf-8")

    def shows(*words: str) -> bool:
        text = "\n".join("".join(each.text for each in strip) for strip in app.screen._compositor.render_strips())
        return all(word in text for word in words)

    def steps() -> float:
        run = app.runs_state.attached_run
        return (run.status.progress or 0.0) if run is not None else 0.0

    def written() -> int:
        return app.screen.play.text_view.length if isinstance(app.screen, GenerateScreen) else 0

    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: shows("compressor (xz)"))
        shoot("corpus")
        await pilot.press("enter")
        await until(pilot, lambda: shows("Enter start"))
        await pilot.press("enter")
        await until(pilot, lambda: steps() > 0.6)
        shoot("train")
        await until(pilot, lambda: app.runs_state.attached_run is not None and not app.runs_state.attached_run.live)
        await until(pilot, lambda: shows("Finished"))
        shoot("finished")
        app.play("demo")
        await until(pilot, lambda: shows("demo @ step") and (shows("ch/s") or shows("paused")))
        await until(pilot, lambda: written() > 450)
        await pilot.press("space")
        await until(pilot, lambda: shows("paused"))
        shoot("generate")
        await pilot.press("4")
        await until(pilot, lambda: shows("RUN", "STATE"))
        shoot("runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="104x30", help="columns x rows")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    asked = parser.parse_args()
    columns, rows = map(int, asked.size.split("x"))
    asked.out.mkdir(parents=True, exist_ok=True)
    out = asked.out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"COLORTERM": "truecolor", "TERM": "xterm-256color"}
        os.environ |= {"CHARLSTM_STATE": f"{folder}/state", "CHARLSTM_CACHE": f"{folder}/cache", "HOME": folder}
        place = Path(folder) / "charlstm"  # the pictures show ~/charlstm, not a path of this machine
        place.mkdir()
        os.chdir(place)
        asyncio.run(draw(out, (columns, rows), place / "runs"))
        os.chdir(out)
    print(f"Drawn into {asked.out}")


if __name__ == "__main__":
    main()
