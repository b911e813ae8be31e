"""A server on this machine that gives texts, and does what a server can do wrong."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from charlstm.text.remote import RemoteText

NAMES = "".join(f"name {number}\n" for number in range(20_000)).encode()


Answer = Callable[[BaseHTTPRequestHandler], None]


def sending(content: bytes) -> Answer:
    """``content``, announced as long as the text."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(NAMES)))
        request.end_headers()
        request.wfile.write(content)

    return send


whole, changed, cut = sending(NAMES), sending(NAMES.replace(b"7", b"8")), sending(NAMES[: len(NAMES) // 2])


def endless(request: BaseHTTPRequestHandler) -> None:
    """Send for as long as somebody reads."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(NAMES)


def raw(answer: str) -> Answer:
    """Exactly these bytes."""
    return lambda request: request.wfile.write(answer.encode()) and None


def missing(request: BaseHTTPRequestHandler) -> None:
    request.send_error(404)


def stopping_until(go_on: threading.Event) -> Answer:
    """Half of the text, and the other half when ``go_on`` is set."""

    def stop(request: BaseHTTPRequestHandler) -> None:
        cut(request)
        go_on.wait()
        request.wfile.write(NAMES[len(NAMES) // 2 :])

    return stop


class TextServer:
    """The server at ``address``: it answers with ``answers`` by path, and counts the ``requests``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[str] = []
        self.answers: dict[str, Answer] = {"/names.txt": whole}

    def text(self) -> RemoteText:
        """A text that is fetched from here."""
        address, sha256 = f"{self.address}/names.txt", hashlib.sha256(NAMES).hexdigest()
        return RemoteText("names", address, sha256, len(NAMES), "MIT", "20,000 names")


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
