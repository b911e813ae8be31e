"""A server on this machine that gives texts, and does what a server can do wrong."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from charlstm.text.remote import RemoteText

NAMES = "".join(f"name {number}\n" for number in range(20_000)).encode()


def whole(request: BaseHTTPRequestHandler) -> None:
    """The text, as it should be."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(NAMES)))
    request.end_headers()
    request.wfile.write(NAMES)


def changed(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(NAMES)))
    request.end_headers()
    request.wfile.write(NAMES.replace(b"7", b"8"))


def cut(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(NAMES)))
    request.end_headers()
    request.wfile.write(NAMES[: len(NAMES) // 2])


def endless(request: BaseHTTPRequestHandler) -> None:
    """Send for as long as somebody reads."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(NAMES)


def missing(request: BaseHTTPRequestHandler) -> None:
    request.send_error(404)


def stopping_until(go_on: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    """Half of the text, and the other half when ``go_on`` is set."""

    def stop(request: BaseHTTPRequestHandler) -> None:
        half = len(NAMES) // 2
        request.send_response(200)
        request.send_header("Content-Length", str(len(NAMES)))
        request.end_headers()
        request.wfile.write(NAMES[:half])
        go_on.wait()
        request.wfile.write(NAMES[half:])

    return stop


def leading_to(target: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A redirect to ``target``."""

    def lead(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", target)
        request.end_headers()

    return lead


class TextServer:
    """The server at ``address``: it answers with ``answers`` by path, and counts the ``requests``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[str] = []
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {"/names.txt": whole}

    def text(self, name: str = "names", size: int | None = len(NAMES), path: str = "/names.txt") -> RemoteText:
        """A text that is fetched from here."""
        return RemoteText(name, self.address + path, hashlib.sha256(NAMES).hexdigest(), size, "MIT", "20,000 names")


@contextmanager
def text_server() -> Iterator[TextServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests.append(self.path)
            try:
                server.answers.get(self.path, missing)(self)
            except ConnectionError:
                self.close_connection = True  # the other side has read enough

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server = TextServer(f"http://127.0.0.1:{listening.server_port}")
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
