"""The served app in a headless Chromium, where there is one: drawn, typed at, resized, reloaded and in two tabs."""

from __future__ import annotations

import asyncio
import base64
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from terminal_app import machine  # noqa: F401

aiohttp = pytest.importorskip("aiohttp", reason="an optional package")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
)  # fmt: skip
DEADLINE = 60
NOT_BLANK = 5_000
"""Bytes of a picture of text; an empty page takes some 3,000."""
BINARY = 2
"""The opcode of a websocket's frames with what the app draws."""


class Browser:
    """Chromium's debugging protocol: commands of its tabs, and what they send and receive."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.drawn: dict[str, bytes] = {}
        """What each tab got from the app since it was last asked for."""
        self.hosts: set[str] = set()
        """Where requests went."""

    async def listen(self) -> None:
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                self._answers.pop(event["id"]).set_result(event)
            elif event["method"] == "Network.webSocketFrameReceived":
                frame = event["params"]["response"]
                if frame["opcode"] == BINARY:
                    self.drawn[event["sessionId"]] += base64.b64decode(frame["payloadData"])
            elif event["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                url = event["params"].get("url") or event["params"]["request"]["url"]
                if not url.startswith("data:"):
                    self.hosts.add(urlsplit(url).netloc)

    async def command(self, method: str, tab: str | None = None, **values: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answered = self._answers[number] = asyncio.get_running_loop().create_future()
        session = {} if tab is None else {"sessionId": tab}
        await self._socket.send_json({"id": number, "method": method, "params": values, **session})
        answer = await asyncio.wait_for(answered, DEADLINE)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, address: str) -> str:
        """A tab with the page at ``address``."""
        target = (await self.command("Target.createTarget", url="about:blank"))["targetId"]
        tab: str = (await self.command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        self.drawn[tab] = b""
        await self.command("Network.enable", tab)
        await self.command("Page.navigate", tab, url=address)
        return tab

    async def shows(self, tab: str, words: bytes) -> None:
        """Wait until the app draws these words, since the last time."""
        async with asyncio.timeout(DEADLINE):
            while words not in re.sub(rb"\x1b\[[\d;:?]*[a-zA-Z]", b"", self.drawn[tab]):
                await asyncio.sleep(0.02)
        self.drawn[tab] = b""

    async def key(self, tab: str, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.command("Input.dispatchKeyEvent", tab, type=kind, key=key, text=key if kind == "keyDown" else "")

    async def size(self, tab: str, width: int, height: int) -> None:
        await self.command(
            "Emulation.setDeviceMetricsOverride", tab, width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def picture(self, tab: str) -> bytes:
        return base64.b64decode((await self.command("Page.captureScreenshot", tab))["data"])


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *FLAGS, f"--user-data-dir={folder}", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(DEADLINE):
            while not (found := re.search(r"ws://\S+", (await process.stderr.readline()).decode())):
                pass
        async with aiohttp.ClientSession() as session, session.ws_connect(found[0], max_msg_size=0) as socket:
            opened = Browser(socket)
            listening = asyncio.create_task(opened.listen())
            yield opened
            listening.cancel()
    finally:
        process.kill()
        await process.wait()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_app_in_a_browser(machine: tuple[Path, dict[str, str]]) -> None:  # noqa: F811
    home, environment = machine
    (home / "mine.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 200)
    server = subprocess.Popen(
        [sys.executable, "-m", "charlstm_tui", "--serve", "127.0.0.1:0", "mine.txt"],
        cwd=home, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stderr is not None
    address = re.search(r"http://\S+/", server.stderr.readline())
    assert address is not None

    async def visit() -> None:
        async with browser(home / "browser") as opened:
            first = await opened.open(address[0])
            await opened.size(first, 1000, 700)
            await opened.shows(first, b"mine.txt")
            await opened.key(first, "3")  # the model in the box
            await opened.shows(first, b"ch/s")
            assert len(await opened.picture(first)) > NOT_BLANK
            await opened.size(first, 640, 420)
            await opened.shows(first, b"[Play]")
            assert len(await opened.picture(first)) > NOT_BLANK
            second = await opened.open(address[0])
            await opened.shows(second, b"mine.txt")
            opened.drawn[first] = b""
            await opened.command("Page.reload", first)  # which starts the app anew
            await opened.shows(first, b"mine.txt")
            await opened.key(second, "4")
            await opened.shows(second, b"[4 Runs]")
            assert opened.hosts == {urlsplit(address[0]).netloc}

    try:
        asyncio.run(visit())
    finally:
        server.terminate()
        server.wait()
        server.stderr.close()
