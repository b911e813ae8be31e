"""Ways to damage a file: bytes cut, flipped, doubled or filled, JSON with values of other kinds, sealed files resealed.

Everything is drawn from the ``random.Random`` that is passed in, so a damage can be done again from its seed. It knows
the layouts of JSON, JSON lines, safetensors and zip, and nothing of what the program makes of them.
"""

import copy
import gzip
import hashlib
import io
import json
import pickle
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

Mutation = Callable[[random.Random, bytes], bytes]

CANARY = "charlstm-canary"
"""A file of this name would be made by hostile content that was executed."""


RAW = "JSON: "
"""Begins a string that stands for JSON text which no Python value gives, such as ``1e999``."""


class _Touch:
    """A pickle that makes the canary when it is opened carelessly."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (f"touch {CANARY}",)


HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 65536, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**30, 10**400, -(10**400)),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
    *("", " ", "\0", "a", "ab", "0", "1", "-1", "1e999", "NaN", "true", "null", "\n", "é", "\ud800", "\ufeff"),
    *("x" * 100_000, "../../etc/passwd", "/", "/dev/zero", "/proc/self/mem", "~", ".", "a\0b", "\u202egnp"),
    *("[/red]\x1b[2J\x1b]0;t\x07", f"__import__('os').system('touch {CANARY}')", "{{7*7}}", "%s%n", "cuda:0"),
    *("started", "finished", "F32", "BF16"),
    *([], {}, [[]], [None], [0], [-1], [""], {"": None}, {"__class__": "os.system"}, [[1, 2], [3]], ["a", 1]),
    *(list(range(5000)), ["x"] * 5000, {str(n): n for n in range(2000)}, [0, 2**62], [2**40, 2**40]),
    *(RAW + each for each in ("1e999", "-1e999", "9" * 5000, "1" * 4000, "[" * 200 + "]" * 200, "[1,]", "'x'", "tru")),
    *(RAW + "[" * 100_000 + "]" * 100_000, RAW + '{"a":' * 50_000 + "1" + "}" * 50_000),
)  # fmt: skip


def hostile(random: random.Random) -> Any:
    """A value that a careless reader stumbles over; lists and dictionaries are the caller's own."""
    return copy.deepcopy(random.choice(HOSTILE))


# ── bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def damage_bytes(random: random.Random, content: bytes) -> bytes:
    """One to four damages of disks, editors and enemies."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        _damage_once(random, data)
    return bytes(data)


def flip_bit(random: random.Random, content: bytes) -> bytes:
    """One bit flipped, as memory, cables and disks do it."""
    data = bytearray(content)
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def _damage_once(random: random.Random, data: bytearray) -> None:
    size = len(data)
    start = random.randrange(size + 1)
    stop = min(size, start + random.choice((1, 2, 8, 64, 512, 4096, size)))
    match random.randrange(14):
        case 0 | 1:
            del data[start:]  # cut short, anywhere
        case 2 | 3 | 4:
            for _ in range(random.choice((1, 1, 8, 64))):
                if data:
                    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        case 5 | 6 | 7 | 8 | 9:
            noise, part = random.randbytes(random.choice((1, 7, 100, 5000))), data[start:stop]
            data[start:stop] = random.choice((b"", part + part, bytes(len(part)), b"\xff" * len(part), noise + part))
        case 10:
            data[:8] = struct.pack("<Q", random.choice((0, 1, 2**16, 2**25, 2**40, 2**63, 2**64 - 1, size, size + 1)))
        case 11:
            codec = random.choice(("utf-16", "utf-32", "utf-7", "cp037", "utf-8-sig"))
            data[:] = data.decode(errors="replace").encode(codec, "replace")
        case _:
            others = (b"", b"\0", b"\n", b"{}", b"[]", b"null", bytes(size), data * 3, data[::-1])
            data[:] = random.choice((*others, gzip.compress(bytes(data), 1), pickle.dumps(_Touch())))


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def damage_json(random: random.Random, content: bytes) -> bytes:
    """One to five changes somewhere in the tree, often to a value of another kind."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return damage_bytes(random, content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        tree = damage_tree(random, tree)
    return dump(random, tree)


def damage_tree(random: random.Random, tree: Any) -> Any:
    """``tree`` with one change; mutable parts are changed in place."""
    places = _places(tree)
    if not places or random.random() < 0.02:
        return hostile(random)
    holder, key = random.choice(places)
    value = holder[key]
    match random.randrange(10):
        case 0:
            del holder[key]
        case 1:
            if isinstance(holder, dict):
                name = random.choice(("", "__class__", "\0", "x" * 10_000, "\ud800", f"{key}s", str(key).upper(), "0"))
                holder[name] = value if random.random() < 0.5 else hostile(random)
            else:
                holder.insert(key, hostile(random))
        case 2:
            other, name = random.choice(places)
            holder[key] = copy.deepcopy(other[name])  # a value that belongs elsewhere
        case 3 | 4:
            holder[key] = _nudged(random, value)
        case _:
            holder[key] = hostile(random)
    return tree


def _nudged(random: random.Random, value: Any) -> Any:
    """A value of the same kind, a little or very different."""
    match value:
        case bool():
            return not value
        case int() | float() if -1e300 < value < 1e300:
            others = (value + 1, value - 1, -value, value * 2, value * 10**9, value / 3, str(value), [value])
            return random.choice(others)
        case str() | list() if value:
            at = random.randrange(len(value))
            return random.choice((value[:at], value[at:] + value[:at], value * 3, value[::-1], value[0], [value]))
    return hostile(random)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) in the tree; of long containers the first ones."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting and len(found) < 5000:
        node = waiting.pop()
        if isinstance(node, (dict, list)):
            keys = list(node if isinstance(node, dict) else range(len(node)))[:200]
            found += [(node, key) for key in keys]
            waiting += [node[key] for key in keys]
    return found


def dump(random: random.Random, tree: Any) -> bytes:
    """JSON of ``tree`` with what is :data:`RAW` as it is; surrogates stay escaped, or now and then raw bytes."""
    text = json.dumps(tree, ensure_ascii=random.random() < 0.7)
    text = re.sub(rf'"{RAW}((?:[^"\\]|\\.)*)"', lambda found: found[1].replace(r"\"", '"'), text)
    return text.encode("utf-8", "surrogatepass")


def damage_json_or_bytes(random: random.Random, content: bytes) -> bytes:
    """Two in three times the tree, else the bytes."""
    return (damage_json if random.random() < 0.67 else damage_bytes)(random, content)


def damage_lines(random: random.Random, content: bytes) -> bytes:
    """JSON lines: some changed, and now and then doubled, swapped, lost, glued together or torn."""
    if random.random() < 0.3:
        return damage_bytes(random, content)
    lines = content.split(b"\n")
    for _ in range(random.choice((1, 2, 5, 20))):
        at = random.randrange(len(lines))
        match random.randrange(8):
            case 0:
                lines.insert(at, lines[random.randrange(len(lines))])
            case 1:
                lines.insert(0, lines.pop(at))
            case 2 if len(lines) > 1:
                del lines[at]
            case 3:
                lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
            case _:
                lines[at] = damage_json(random, lines[at] or b"{}").replace(b"\n", b" ")
    return random.choice((b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"")).join(lines)


# ── sealed files ────────────────────────────────────────────────────────────────────────────────────────────────────


def damage_tensors(random: random.Random, content: bytes) -> bytes:
    """safetensors: the header's tree, the JSON within it, the arrays; mostly resealed, so that the checksum is right
    and what is behind it must hold by itself."""
    if random.random() < 0.25:
        return damage_bytes(random, content)
    length = struct.unpack("<Q", content[:8])[0]
    fields, arrays = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    choice = random.random()
    if choice < 0.6:  # the JSON in the metadata
        metadata = fields["__metadata__"]
        name = next(name for name in metadata if name.startswith("charlstm"))
        inner = json.loads(metadata[name])
        for _ in range(random.choice((1, 1, 2, 4))):
            inner = damage_tree(random, inner)
        metadata[name] = dump(random, inner).decode("utf-8", "surrogatepass")
        if random.random() < 0.1:
            metadata["format"] = random.choice(("2", "", "-1", "1.0", "९", "9" * 5000, "x"))
    elif choice < 0.8:
        fields = damage_tree(random, fields)
    else:  # the numbers
        for _ in range(random.choice((1, 10, 1000))):
            at = random.randrange(0, max(1, len(arrays) - 4), 4)
            value = random.choice((float("nan"), float("inf"), 3e38, -3e38, 1e-45, 0.0, random.gauss(0, 100)))
            arrays[at : at + 4] = struct.pack("<f", value)
    if random.random() < 0.85:
        fields = _sealed(fields, bytes(arrays))
    header = dump(random, fields)
    if random.random() < 0.03:
        header = header + b" " * (33 * 2**20)  # longer than any reader should take
    return struct.pack("<Q", len(header)) + header + bytes(arrays)


def _sealed(fields: Any, arrays: bytes) -> Any:
    """The header with the checksum that its reader will reckon, where the header can have one."""
    metadata = fields.pop("__metadata__", None) if isinstance(fields, dict) else None
    if not isinstance(metadata, dict):
        return fields
    metadata = {name: metadata[name] for name in sorted(metadata) if name != "sha256"}
    encoded = json.dumps({"__metadata__": metadata, **fields}, separators=(",", ":")).encode("ascii")
    digest = hashlib.sha256(encoded + b" " * (-len(encoded) % 8) + arrays).hexdigest()
    return {"__metadata__": {**metadata, "sha256": digest}, **fields}


def damage_session(random: random.Random, content: bytes) -> bytes:
    """A session: its history has the right checksum, where it can have one."""
    damaged = damage_json_or_bytes(random, content)
    try:
        values = json.loads(damaged)
        steps = [json.dumps(step) for name in ("undo", "redo") for step in values["history"][name]]
        values["history"]["check"] = zlib.crc32("".join(steps).encode())
        return json.dumps(values).encode()
    except (ValueError, TypeError, LookupError, RecursionError):
        return damaged


def damage_zip(random: random.Random, content: bytes) -> bytes:
    """A zip archive: bytes, or one member changed and everything around it right again."""
    if random.random() < 0.35 or not content.startswith(b"PK"):
        return damage_bytes(random, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    at = random.randrange(len(members)) if random.random() < 0.5 else 0  # data.pkl comes first
    name, data = members[at]
    match random.randrange(8):
        case 0:
            del members[at]
        case 1:
            members.append((name, data))
        case 2:
            members[at] = (random.choice(("../../x", "/x/data.pkl", "x/data.pkl", "\0", "x" * 60_000)), data)
        case 3:
            members[at] = (name, random.choice(HOSTILE_PICKLES))
        case _:
            members[at] = (name, damage_bytes(random, data))
    target = io.BytesIO()
    compression = random.choice((zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,))
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return target.getvalue()


HOSTILE_PICKLES = (
    *(pickle.dumps(_Touch(), protocol) for protocol in range(6)),
    f"cos\nsystem\n(S'touch {CANARY}'\ntR.".encode(),
    f'cbuiltins\neval\n(S\'__import__("os").system("touch {CANARY}")\'\ntR.'.encode(),
    *(b"\x80\x02ctorch.hub\nload\n(tR.", b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(tR."),
    *(b"\x80\x02X\xff\xff\xff\x7fabc.", b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f."),
    *(b"\x80\x02" + b"(" * 50_000 + b".", b"\x80\x02" + b"]q\x00" + b"h\x00a" * 10_000 + b"."),
    *(b"\x80\x02" + b"K\x01" * 200_000 + b".", b"\x80\x02}(X\x05\x00\x00\x00tokensK\x01u."),
)
"""Pickles that would do harm if they were simply opened."""
