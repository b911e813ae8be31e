import contextlib
import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from charlstm import storage
from faulty_disk import FaultyDisk, use_disk

OLD, NEW = b"old " * 1000, b"new " * 2000


def replace(path: Path, content: bytes, keep: Path | None) -> None:
    """Replace a file; its old content is kept as ``keep``."""
    storage.replace_file(path, lambda file: storage.write_all(file, content), keep=keep)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
def test_replace_file_leaves_old_or_new_content_when_any_change_fails(tmp_path: Path, half: bool, keeps: bool) -> None:
    at, calls = -1, 4  # write, sync, rename, sync of the folder at least
    while at + 1 < calls:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        path, kept = folder / "file", folder / "kept"
        storage.replace_bytes(path, OLD)
        with use_disk(FaultyDisk(at, half=half)) as disk, contextlib.suppress(OSError):
            replace(path, NEW, kept if keeps else None)
            calls = disk.calls
        assert path.read_bytes() in (OLD, NEW)
        assert keeps or os.listdir(folder) == ["file"], "a temporary file"
        if kept.exists():
            assert kept.read_bytes() == OLD
        storage.replace_bytes(path, NEW)  # works again once the disk does
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (NEW, 0o600)
        storage.remove_leftovers(folder, lambda name: True)
        assert set(os.listdir(folder)) <= {"file", "kept"}


@pytest.mark.parametrize("fails", [frozenset(), frozenset({"link"})], ids=["with links", "without hard links"])
def test_replace_file_keeps_old_content_under_other_name(tmp_path: Path, fails: frozenset[str]) -> None:
    path, keep = tmp_path / "state", tmp_path / "state.prev"
    with use_disk(FaultyDisk(0 if fails else None, only=fails, again=True)):
        for content in (b"1", b"2", b"3"):
            replace(path, content, keep)
    assert (path.read_bytes(), keep.read_bytes()) == (b"3", b"2")


def test_link_file_gives_a_file_a_second_name_in_place_of_another_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    for _ in range(2):  # the second time both are names of one file
        storage.link_file(one, two)
        assert os.path.samefile(one, two)
        assert set(os.listdir(tmp_path)) == {"one", "two"}
    (tmp_path / "link").symlink_to("two")
    with storage.open_file(tmp_path / "link") as file:  # a link of the other kind is followed
        assert file.read() == b"1"


def test_append_line_after_half_written_line_starts_new_line(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    storage.append_line(path, b"one")
    with use_disk(FaultyDisk(0, half=True)), pytest.raises(OSError, match="space"):
        storage.append_line(path, b"torn in half")
    storage.append_line(path, b"two")
    assert path.read_bytes().split(b"\n")[::2] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", b""), (b"a\nb\n", b"a\nb\n"), (b"a\nb", b"a\n"), (b"torn", b""), (b"a\n" + b"x" * 200_000, b"a\n")],
)
def test_truncate_torn_line_removes_incomplete_last_line(tmp_path: Path, content: bytes, expected: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert storage.truncate_torn_line(path) == len(content) - len(expected)
    assert path.read_bytes() == expected


@pytest.mark.parametrize("supported", [True, False])
def test_sync_on_macos_flushes_drive_cache(tmp_path: Path, supported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: records the calls that would be made on macOS, for a file and for its folder."""
    called: list[tuple[str, bool]] = []

    def note(call: str, descriptor: int) -> None:
        called.append((call, stat.S_ISDIR(os.fstat(descriptor).st_mode)))

    def full(descriptor: int, command: int) -> None:
        note(f"fcntl {command}", descriptor)
        if not supported:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr("fcntl.F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr("fcntl.fcntl", full)
    monkeypatch.setattr(os, "fsync", lambda descriptor: note("fsync", descriptor))
    monkeypatch.setattr(sys, "platform", "darwin")
    storage.replace_bytes(tmp_path / "file", NEW)
    monkeypatch.undo()
    calls = ("fcntl 51",) if supported else ("fcntl 51", "fsync")
    assert called == [(call, folder) for folder in (False, True) for call in calls]


def test_is_disk_trouble_is_false_for_other_errors() -> None:
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT, errno.EIO):
        assert storage.is_disk_trouble(OSError(number, "trouble"))
    assert not storage.is_disk_trouble(OSError(errno.EINVAL, "a mistake"))
    assert not storage.is_disk_trouble(ValueError("no"))


def test_file_stamp_is_settled_once_a_change_must_show() -> None:
    stamp = storage.FileStamp(size=4, mtime_ns=5_000, ctime_ns=10**12, inode=1, device=1)
    assert not stamp.is_settled(10**12)
    assert not stamp.is_settled(10**12 + storage.CLOCK_GRAIN_NS - 1)
    assert stamp.is_settled(10**12 + storage.CLOCK_GRAIN_NS)
    assert not stamp._replace(mtime_ns=10**18).is_settled(10**13)  # a file from the future


def test_append_line_and_truncate_torn_line_refuse_links(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("must not change, no newline")
    link = tmp_path / "events.jsonl"
    link.symlink_to(other)
    for write in (lambda: storage.append_line(link, b"one"), lambda: storage.truncate_torn_line(link)):
        with pytest.raises(OSError, match=r"events\.jsonl is a link to another file") as caught:
            write()
        assert storage.is_disk_trouble(caught.value)
    assert other.read_text() == "must not change, no newline"
    storage.replace_bytes(link, b"new")
    assert (link.is_symlink(), other.read_text()) == (False, "must not change, no newline")


def test_anchored_writes_to_folder_that_was_moved(tmp_path: Path) -> None:
    folder, moved = tmp_path / "run", tmp_path / "moved"
    folder.mkdir()
    storage.replace_bytes(folder / "state", b"1")
    descriptor = os.open(folder, os.O_RDONLY)
    with storage.anchored(folder, descriptor):
        folder.rename(moved)
        folder.mkdir()
        (folder / "state").write_bytes(b"another's")
        (moved / ".x.1.tmp").touch()
        replace(folder / "state", b"2", folder / "before")
        storage.append_line(folder / "log", b"line")
        storage.make_folder(folder / "sub")
        storage.replace_bytes(folder / "sub" / "x", b"3")
        storage.disk.unlink(folder / ".x.1.tmp")
    os.close(descriptor)
    files = {str(path.relative_to(moved)): path.read_bytes() for path in moved.rglob("*") if path.is_file()}
    assert files == {"state": b"2", "before": b"1", "log": b"line\n", str(Path("sub", "x")): b"3"}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"state": b"another's"}
    storage.append_line(folder / "log", b"line")  # after the block, the path counts again
    assert (folder / "log").exists()


def test_remove_leftovers_keeps_other_hidden_files(tmp_path: Path) -> None:
    for name in (".state.safetensors.12.345.tmp", ".state.prev.safetensors.12.tmp", ".mine.tmp", ".1.tmp", ".x.1.tmp"):
        (tmp_path / name).touch()
    storage.remove_leftovers(tmp_path, lambda name: name != "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".1.tmp", ".mine.tmp", ".x.1.tmp"]


SPECIALS = {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "folder": os.mkdir}


@pytest.mark.parametrize("kind", SPECIALS)
def test_open_file_refuses_what_is_no_file_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    SPECIALS[kind](path)
    with pytest.raises(storage.NotAFileError, match=f"file is a {kind}, not a file") as caught:
        storage.open_file(path)
    assert caught.value.kind == kind
    assert storage.is_disk_trouble(caught.value)


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_disk_refuses_to_write_to_what_is_no_file(tmp_path: Path, kind: str, flags: int) -> None:
    """A pipe that nobody reads takes 64 kB, and then the writer waits."""
    SPECIALS[kind](tmp_path / "file")
    with pytest.raises(storage.NotAFileError, match=f"is a {kind}, not a file"):
        storage.disk.open(tmp_path / "file", flags | os.O_CREAT)


def test_replacing_refuses_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The superuser replaced /dev/null by a file like this."""
    path = tmp_path / "null"
    path.write_bytes(b"as it was")
    device = os.stat_result((stat.S_IFCHR | 0o666, *os.lstat(path)[1:]))
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda each, **how: device if str(each) == str(path) else look(each, **how))
    with pytest.raises(storage.NotAFileError):
        storage.replace_bytes(path, b"new")
    assert path.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [path]
