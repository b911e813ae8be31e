"""The app for browsers: who may connect, what the page loads, and what is handed on to the app."""

import asyncio
import json
import logging
import re
import shlex
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("textual_serve", reason="an optional package")

from aiohttp import WSCloseCode, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer

from charlstm.errors import CharLSTMError
from charlstm_tui.main import run
from charlstm_tui.web.address import Address, parse_address
from charlstm_tui.web.server import HERE, SERVER_LOG, AppServer, FailureReport

ECHO = """
import os, sys
os.write(1, b"__GANGLION__\\n")
while packet := os.read(0, 65536):
    os.write(1, b"D" + len(packet).to_bytes(4, "big") + packet)
    if b"quit" in packet:
        break
"""
"""Speaks as Textual's web driver does: sends back what it gets, and ends when it is told to."""


@asynccontextmanager
async def served(loopback: bool = True) -> AsyncIterator[tuple[AppServer, TestClient, str]]:
    """A server, a client of it, and the origin of its own page."""
    server = AppServer(shlex.join([sys.executable, "-c", ECHO]), loopback)
    async with TestClient(TestServer(server.application())) as client:
        yield server, client, f"http://{client.host}:{client.port}"
        async with asyncio.timeout(10):
            while server.pages:
                await asyncio.sleep(0.01)


async def test_only_the_own_page_with_the_token_is_answered() -> None:
    async with served() as (server, client, origin):
        page, socket = f"/{server.token}/", f"/{server.token}/ws"
        for path in ("/", "/ws", f"/{server.token[:-1]}/", "/static/js/textual.js"):
            assert (await client.get(path)).status == 404
        answer = await client.get(page, headers={"Origin": origin})
        assert answer.status == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        foreign = ("http://evil.example", "null", f"{origin}0", "http://evil.example:" + origin.rpartition(":")[2])
        for stranger in foreign:
            assert (await client.get(page, headers={"Origin": stranger})).status == 403
            with pytest.raises(WSServerHandshakeError, match="403"):
                await client.ws_connect(socket, headers={"Origin": stranger})
        with pytest.raises(WSServerHandshakeError, match="403"):  # browsers always say where a websocket comes from
            await client.ws_connect(socket)
        rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
        assert (await client.get(page, headers=rebound)).status == 403
    async with served(loopback=False) as (server, client, _):
        assert (await client.get(f"/{server.token}/", headers={"Host": "my.machine:8000"})).status == 200


async def test_page_loads_everything_from_the_server_itself() -> None:
    async with served() as (server, client, _):
        loaded = ["page.css", "page.js"]
        for name in ("page.html", "page.css"):
            source = (HERE / name).read_text(encoding="utf-8")
            assert "//" not in source
            loaded += re.findall(r'(?:href|src)="([^"]+)"|url\("([^"]+)"\)', source)
        names = {name for found in loaded for name in ([found] if isinstance(found, str) else found)} - {"", "data:,"}
        assert any(name.endswith(".ttf") for name in names)
        for name in names:
            assert (await client.get(f"/{server.token}/{name}")).status == 200, name


async def test_what_the_page_sends_reaches_the_app_and_the_page_is_closed_when_the_server_ends() -> None:
    async with served() as (server, client, origin):
        page = await client.ws_connect(f"/{server.token}/ws?width=80&height=9", headers={"Origin": origin})
        for message in (["stdin", "hé\ud800"], ["resize", {"width": 132, "height": 24}], ["focus"], ["blur"]):
            await page.send_str(json.dumps(message))
        got = b""
        while b"blur" not in got:
            got += await page.receive_bytes(timeout=60)
        assert "hé?".encode() in got
        assert b'"width": 132, "height": 24' in got
        await page.send_str('["ping", "1"]')
        assert json.loads(await page.receive_str(timeout=60)) == ["pong", "1"]
        await client.app.shutdown()
        message = await page.receive(timeout=60)
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)


async def test_malformed_requests_are_refused_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    server = AppServer("true")
    runner = server.runner()
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        own = f"127.0.0.1:{port}"
        for request, status in (
            ("OPTIONS * HTTP/1.1|Host: x", 404),
            ("CONNECT x:1 HTTP/1.1|Host: x:1", 404),
            ("GET http://[ HTTP/1.1|Host: x", 400),
            ("no HTTP at all", 400),
            (f"GET /{server.token}/ HTTP/1.1|Host: [", 403),
            (f"GET /{server.token}/ HTTP/1.1|Host: {own}|Origin: http://[", 403),
            (f"GET /{server.token}/static/{'a' * 5000} HTTP/1.1|Host: {own}", 404),
            (f"GET /{server.token}/ HTTP/1.1|Host: {own}|Origin: http://{own}", 200),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((request.replace("|", "\r\n") + "\r\n\r\n").encode())
            async with asyncio.timeout(10):
                line = await reader.readline()
            writer.close()
            assert int(line.split()[1]) == status, request
        # another test's process may end meanwhile, of which asyncio warns
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    finally:
        await runner.cleanup()


def test_unexpected_failure_of_a_request_is_logged_and_said_in_one_sentence(unexpected_errors: deque[str]) -> None:
    said: list[str] = []
    report = FailureReport(said.append)
    SERVER_LOG.addHandler(report)
    try:
        SERVER_LOG.error("Error handling request", exc_info=ValueError("broken"))
    finally:
        SERVER_LOG.removeHandler(report)
    assert "ValueError: broken" in unexpected_errors[-1]
    assert re.fullmatch(r"A request failed \(ValueError\): .*app\.log has the details", said[0])


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("127.0.0.1:8000", Address("127.0.0.1", 8000)), ("0.0.0.0", Address("0.0.0.0", 8000)),
        (":9000", Address("127.0.0.1", 9000)), ("[::1]:80", Address("::1", 80)), ("", Address()),
    ],
)  # fmt: skip
def test_address_is_a_host_and_a_port(written: str, address: Address) -> None:
    assert parse_address(written) == parse_address(str(address)) == address


@pytest.mark.parametrize("written", ["novel.txt:x", "host:99999", "http://host", "a b"])
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(CharLSTMError, match=r"write HOST:PORT, such as 127\.0\.0\.1:8000"):
        parse_address(written)


def test_missing_textual_serve_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve", None)
    monkeypatch.delitem(sys.modules, "charlstm_tui.web.server")
    assert run(["--serve"]) == 1
    assert capsys.readouterr().err.strip().endswith("is not installed: pip install textual-serve")
