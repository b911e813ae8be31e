"""Fetching texts: what is kept is what was asked for, and of what goes wrong nothing is kept."""

import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.errors import TextError
from charlstm.paths import data_dir
from charlstm.text import remote
from charlstm.text.corpus import open_corpus
from charlstm.text.remote import RemoteText, catalogue, fetch
from command_line import Cli
from text_server import NAMES, Answer, TextServer, changed, cut, endless, missing, raw, text_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextServer]:
    """A server with the only text of the catalogue."""
    with text_server() as started:
        monkeypatch.setattr(remote, "catalogue", lambda: {"names": started.text()})
        yield started


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


def kept() -> list[Path]:
    return [path for path in data_dir().rglob("*") if path.is_file()]


def assert_refused(text: RemoteText, words: str) -> None:
    with pytest.raises(TextError, match=f"^names was not fetched, and nothing was kept: .*{words}"):
        fetch(text)
    assert not kept()


def test_catalogue_has_addresses_of_commits_and_sums() -> None:
    assert len(catalogue()) == 9
    for text in catalogue().values():
        assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/[\w/.%-]+", text.address)
        assert re.fullmatch("[0-9a-f]{64}", text.sha256)
        assert text.bytes
        assert text.licence
        assert len(text.about) <= 42  # a line of `fetch` has 80 columns


def test_text_is_fetched_once_with_progress(server: TextServer) -> None:
    steps: list[tuple[int, int]] = []
    path = fetch(server.text(), lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == NAMES
    assert steps == sorted(steps)
    assert len(steps) > 2
    assert steps[-1] == (len(NAMES), len(NAMES))
    assert fetch(server.text()) == path
    assert len(server.requests) == 1
    path.write_bytes(b"changed")
    assert fetch(server.text()).read_bytes() == NAMES


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (changed, "127.0.0.1 sent another text"),
        (cut, "was cut"),
        (missing, "answered 404 Not Found; check the address http://127.0.0.1"),
        (endless, f"more than the {len(NAMES):,} bytes"),
    ],
)
def test_other_content_cut_connection_and_error_keep_nothing(server: TextServer, answer: Answer, says: str) -> None:
    server.answers["/names.txt"] = answer
    assert_refused(server.text(), says)


OK = "HTTP/1.1 200 OK\r\n"
FOUND = "HTTP/1.1 302 Found\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("", "127.0.0.1 ended the connection without an answer"),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", "did not answer as a web server does"),
        (f"{OK}X: w\r\n{'X: w' * 20_000}\r\n\r\n", "did not answer as a web server does"),
        (f"{OK}Content-Length: 1, 2\r\n\r\nab", "did not answer as a web server does"),
        (f"{OK}Content-Length: {'9' * 5000}\r\n\r\nab", "sent 2 of 208,890 bytes"),
        (f"{OK}Content-Length: 0\r\n\r\n", "sent 0 of 208,890 bytes"),
        (f"{OK}Content-Length: 208891\r\n\r\n{'w' * 70_000}", "more than the 208,890 bytes"),  # though fewer have come
        (f"{OK}Content-Length: 200\r\n\r\nab", "was cut or disturbed"),
        (f"{OK}Transfer-Encoding: chunked\r\n\r\nzz\r\nab", "was cut or disturbed"),
        (f"{OK}Content-Encoding: gzip\r\n\r\nno gzip", "sent compressed text that is damaged"),
        (f"{OK}Content-Type: text/html\r\n\r\n<html>", "127.0.0.1 sent a web page; open http://127.0.0.1:"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "answered 204 No Content; check"),
        (f"HTTP/1.1 503 {'w' * 50_000}\r\n\r\n", "answered 503 w{60}; check"),
        (f"{FOUND}Location: /names.txt\r\nContent-Length: 0\r\n\r\n", "redirects without end"),
        (f"{FOUND}Location: ftp://a/b\r\nContent-Length: 0\r\n\r\n", "redirects to what is no address"),
    ],
)
def test_fetch_says_what_the_host_answered(server: TextServer, answer: str, says: str) -> None:
    server.answers["/names.txt"] = raw(answer)
    assert_refused(server.text(), says)


def test_fetch_says_that_the_connection_is_not_encrypted(server: TextServer) -> None:
    text = replace(server.text(), address=f"{server.address}/names.txt".replace("http", "https"))
    assert_refused(text, "does not encrypt the connection")


def test_refused_connection_and_silent_server_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # never accepts
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/names.txt"
        text = replace(catalogue()["names"], name="names", address=address)
        assert_refused(text, "did not answer for 0.1 seconds")
    assert_refused(text, "cannot be reached")


def test_interrupt_while_fetching_keeps_nothing(server: TextServer) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.text(), interrupt)
    assert not kept()


def test_text_of_the_list_is_used_by_its_name_once_it_is_fetched(
    server: TextServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(tmp_path)
    unknown = "names of the catalogue, 209 kB, was not fetched yet (`charlstm fetch names`)"
    assert unknown in cli.error("stats", "names")
    assert "did you mean names?" in cli.error("fetch", "name")
    [row] = cli.json("fetch")
    assert (row["name"], row["bytes"], row["licence"], row["path"]) == ("names", len(NAMES), "MIT", None)
    assert not server.requests
    [row] = cli.json("fetch", "names")
    assert Path(row["path"]).read_bytes() == NAMES
    assert cli("fetch", "names")[0] == f"{row['path']}\n"
    assert "✓ names" in cli("fetch")[0]
    assert {"name": "names", "bytes": len(NAMES), "about": "20,000 names"} in cli.json("corpora")
    assert f"from       {server.address}/names.txt" in cli("stats", "names")[0]
    assert open_corpus("names").name == "names.txt"
    (tmp_path / "names").write_text("another text\n" * 100)
    assert open_corpus("names").sources == (str(tmp_path / "names"),)
