"""A screen comes to rest whatever sizes the terminal took."""

from __future__ import annotations

from pathlib import Path

from textual.events import Resize
from textual.geometry import Size

from driven_app import driven


async def test_old_news_of_a_size_is_passed_over(tmp_path: Path) -> None:
    async with driven(tmp_path) as app:
        await app.in_mode("corpus")
        old = Size(120, 40)
        app.mode.post_message(Resize(old, old))  # as laying out sends when another size has come meanwhile
        await app.pilot.pause(0.1)
        assert app.mode.size == app.app.size == Size(80, 24)
        await app.pilot.resize_terminal(120, 40)
        await app.until(lambda: app.mode.size == old and app.mode.has_class("-tall"))
