"""Serve the app to browsers, one process of it for each page. Needs the package textual-serve.

Only users with the address can use the app: the address has a random token. A page of another site cannot either, even
if its author knows the token: a browser says where a request comes from (``Origin``), and a foreign one is refused. On
loopback, so are names of this machine that other sites could have made up (``Host``). The page loads nothing from other
hosts, and its content security policy forbids it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import textual_serve
from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from charlstm.errors import CharLSTMError
from charlstm_tui.error_log import LOG, log_path
from charlstm_tui.web.address import Address

HERE = Path(__file__).parent
STATIC = Path(textual_serve.__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
END_WITHIN = 5.0
"""Seconds that an app may take to end in order after its page was closed."""


def _is_failure(record: logging.LogRecord) -> bool:
    """Whether a record is about a failure of the program. A request that is not HTTP is not: its answer is 400."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


SERVER_LOG = LOG.getChild("web")
"""What aiohttp logs: it goes to the file with the unexpected errors of the app, not as a traceback to the terminal."""
SERVER_LOG.addFilter(_is_failure)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FailureReport(logging.Handler):
    """Says in one sentence that something unexpected failed, and where the details are."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        reason = f" ({type(record.exc_info[1]).__name__})" if record.exc_info else ""
        self._say(f"A request failed{reason}: {log_path()} has the details")


class App(AppService):
    """The process of the app that a page shows. The page is closed when it ends, also if it is killed."""

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self.remote_close()


class AppServer:
    """Serves pages with the app of a command.

    Args:
        command: what to run in a shell for each page.
        loopback: whether only this machine can reach the server.
    """

    def __init__(self, command: str, loopback: bool = True) -> None:
        self.command, self.loopback = command, loopback
        self.token = secrets.token_urlsafe(16)
        self.pages: set[web.WebSocketResponse] = set()
        """The pages that are open, or whose app has not ended yet."""

    def application(self) -> web.Application:
        """What aiohttp serves."""
        app = web.Application(middlewares=[self._guard])
        base = f"/{self.token}"
        for name in ("page.css", "page.js"):
            app.router.add_get(f"{base}/{name}", _file(HERE / name))
        app.router.add_get(f"{base}/", _file(HERE / "page.html"))
        app.router.add_get(f"{base}/ws", self._run_app)
        for path in STATIC.rglob("*"):
            if path.is_file():
                app.router.add_get(f"{base}/static/{path.relative_to(STATIC).as_posix()}", _file(path))
        app.on_shutdown.append(self._close)
        return app

    def runner(self) -> web.AppRunner:
        """What listens; errors of requests go to :data:`SERVER_LOG`."""
        return web.AppRunner(self.application(), access_log=None, logger=SERVER_LOG, shutdown_timeout=3)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what does not come from our own page; all answers get the headers."""
        token = request.path.removeprefix("/").partition("/")[0]  # of OPTIONS the path may be *, of CONNECT nothing
        if not secrets.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
            return web.Response(status=404, text="There is nothing here: use the whole address.", headers=HEADERS)
        if self.loopback and not _is_loopback(_hostname(request.host)):
            return web.Response(status=403, text="This app serves its own machine alone.", headers=HEADERS)
        if not _is_own_origin(request):
            return web.Response(status=403, text="Requests of other pages are refused.", headers=HEADERS)
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _run_app(self, request: web.Request) -> web.StreamResponse:
        """Start the app and connect it with the page, until one of them ends."""
        page = web.WebSocketResponse(heartbeat=15)
        await page.prepare(request)

        async def close() -> None:
            await page.close()

        app = App(
            self.command,
            write_bytes=page.send_bytes,
            write_str=page.send_str,
            close=close,
            download_manager=DownloadManager(),
        )
        self.pages.add(page)
        try:
            await app.start(int(request.query.get("width", 80)), int(request.query.get("height", 24)))
            try:
                async for message in page:
                    if message.type == WSMsgType.TEXT:
                        await _pass_on(message.data, page, app)
            finally:
                try:
                    with contextlib.suppress(ConnectionError, TimeoutError):  # it has ended by itself, or does not
                        await asyncio.wait_for(app.stop(), END_WITHIN)
                finally:
                    app.stdin.close()  # the end of the input ends it at the latest
                    with contextlib.suppress(ConnectionError):
                        await app.stdin.wait_closed()
        finally:
            self.pages.discard(page)
        return page

    async def _close(self, _: web.Application) -> None:
        await asyncio.gather(*(page.close(code=WSCloseCode.GOING_AWAY) for page in self.pages))


def _file(path: Path) -> Handler:
    async def send(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(path)

    return send


async def _pass_on(data: str, page: web.WebSocketResponse, app: AppService) -> None:
    """Hand a message of the page to the app."""
    match json.loads(data):
        case ["stdin", text]:
            await app.send_bytes(text.encode("utf-8", "replace"))
        case ["resize", size]:
            await app.set_terminal_size(size["width"], size["height"])
        case ["ping", value]:
            await page.send_json(["pong", value])
        case ["blur"]:
            await app.blur()
        case ["focus"]:
            await app.focus()


def _is_own_origin(request: web.Request) -> bool:
    """Whether a request comes from our own page. Browsers always say so for websockets."""
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Upgrade", "").lower() != "websocket"
    scheme, _, host = origin.lower().partition("://")
    return scheme in ("http", "https") and host == request.host.lower()


def _hostname(host: str) -> str:
    """The name in a ``Host`` header, without the port; empty when it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # such as a bracket that is not closed
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(address: Address, command: str, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. ``say`` prints a line. Raises :class:`CharLSTMError` if the port is taken."""
    asyncio.run(_serve(address, command, say))


async def _serve(address: Address, command: str, say: Callable[[str], None]) -> None:
    loopback = _is_loopback(address.host)
    server = AppServer(command, loopback)
    runner = server.runner()
    SERVER_LOG.addHandler(FailureReport(say))
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port)
        try:
            await site.start()
        except OSError as error:
            raise CharLSTMError(
                f"{address} cannot be served ({error.strerror or error}): name another, as in --serve 127.0.0.1:8001"
            ) from None
        port = runner.addresses[0][1]
        host = socket.gethostname() if address.host in ("0.0.0.0", "::") else address.host
        say(f"charlstm is at http://{Address(host, port)}/{server.token}/")
        say("Whoever has this address can use the app and read your files with it. Ctrl+C ends it.")
        if not loopback:
            say("Other machines can reach it, and nothing is encrypted.")
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
    finally:
        await runner.cleanup()
