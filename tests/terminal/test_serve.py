"""The served program: an address with a token, the app at the other end of a websocket, and no process left."""

import asyncio
import re
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import psutil
import pytest

from terminal_app import machine  # noqa: F401
from waiting import wait_until

DEADLINE = 60

aiohttp = pytest.importorskip("aiohttp", reason="an optional package")


async def until_shown(page: Any, words: bytes) -> None:
    """Read what the app draws until it has these words."""
    drawn = b""
    async with asyncio.timeout(DEADLINE):
        while words not in re.sub(rb"\x1b\[[\d;?]*[a-zA-Z]", b"", drawn):
            message = await page.receive()
            assert message.type == aiohttp.WSMsgType.BINARY, message
            drawn += message.data


def test_two_pages_have_an_app_each_and_all_end_with_the_server(machine: tuple[Path, dict[str, str]]) -> None:  # noqa: F811
    home, environment = machine
    command = [sys.executable, "-m", "charlstm_tui", "--serve", "127.0.0.1:0", "--model", "demo"]
    server = Popen(command, cwd=home, env=environment, stdin=DEVNULL, stderr=PIPE, text=True)
    address = re.search(r"http://\S+/", server.stderr.readline())
    assert address is not None

    async def visit() -> list[psutil.Process]:
        origin = {"Origin": re.match(r"http://[^/]+", address[0])[0]}
        async with aiohttp.ClientSession(headers=origin) as session:
            async with session.ws_connect(f"{address[0]}ws?width=100&height=30") as page:
                await until_shown(page, b"[Play]")
                await page.send_json(["stdin", "1"])
                await until_shown(page, b"[1 Corpus]")
                killed = psutil.Process(server.pid).children(recursive=True)
                other = await session.ws_connect(f"{address[0]}ws?width=100&height=30")
                await until_shown(other, b"[Play]")
                for process in killed:
                    process.kill()  # as the system does when memory is short
                async with asyncio.timeout(DEADLINE):
                    while (await page.receive()).type == aiohttp.WSMsgType.BINARY:
                        pass
            apps = [each for each in psutil.Process(server.pid).children(recursive=True) if each not in killed]
            server.kill()
            return apps

    apps = asyncio.run(visit())
    server.wait()
    server.stderr.close()
    assert apps
    wait_until(
        lambda: all(each not in apps or each.info["status"] == "zombie" for each in psutil.process_iter(["status"]))
    )
