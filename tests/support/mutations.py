"""Random damage to files: of bytes, of lines, and of structure with the format left intact."""

from __future__ import annotations

import copy
import io
import json
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.io import loadmat, savemat

Rng = np.random.Generator

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 2**31, 10**30, 0.5, -1e308, 1e308, 5e-324, float("nan"), float("inf"), "", "x", "é",
    "\ud800", "\x00", "../../x.jpg", "7", "a" * 5000, [], {}, [[]], [None], {"id": 1}, [1, 2, 3], b"bytes",
)  # fmt: skip


class Hostile:
    """Pickled, it makes a folder when it is loaded by a reader that runs what stands in a pickle."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        import os

        return os.makedirs, (str(self.canary), 0o777, True)


def choose(rng: Rng, items: Any) -> Any:
    """One of a sequence; rng.choice would turn them into an array."""
    return items[int(rng.integers(len(items)))]


# --- bytes ------------------------------------------------------------------------------------------------------------


def mutate_bytes(data: bytes, rng: Rng) -> tuple[str, bytes]:
    """What was done, and the damaged bytes."""
    size = len(data)
    start = int(rng.integers(max(1, size)))
    stop = min(size, start + int(2 ** rng.uniform(0, 12)))
    kind = choose(rng, ("flip", "flip many", "cut", "delete", "insert", "repeat", "zero", "ones", "empty", "digits"))
    if kind == "flip":
        return kind, data[:start] + bytes([data[start] ^ (1 << int(rng.integers(8)))]) + data[start + 1 :]
    if kind == "flip many":
        array = np.frombuffer(data, np.uint8).copy()
        hit = rng.integers(0, size, max(1, size // 200))
        array[hit] = rng.integers(0, 256, len(hit))
        return kind, array.tobytes()
    if kind == "digits":
        # Sizes and counts are what leads readers to allocate and to index wrongly.
        places = [i for i in range(max(0, start - 2000), min(size, start + 2000)) if 48 <= data[i] <= 57]
        if places:
            place = choose(rng, places)
            return kind, data[:place] + choose(rng, (b"-", b"99999999999", b"1e400", b".", b"0x")) + data[place + 1 :]
    new = {
        "cut": data[:start],
        "delete": data[:start] + data[stop:],
        "insert": data[:start] + rng.bytes(stop - start) + data[start:],
        "repeat": data[:stop] + data[start:],
        "zero": data[:start] + bytes(stop - start) + data[stop:],
        "ones": data[:start] + b"\xff" * (stop - start) + data[stop:],
        "empty": b"",
    }
    return kind, new.get(kind, data[:start])


def mutate_lines(data: bytes, rng: Rng) -> tuple[str, bytes]:
    """The same for files of lines and words."""
    lines = data.splitlines()
    place = int(rng.integers(len(lines)))
    words = lines[place].split() or [b""]
    kind = choose(rng, ("delete", "repeat", "swap", "word", "less", "more", "encoding"))
    if kind == "delete":
        del lines[place]
    elif kind == "repeat":
        lines.insert(place, lines[place])
    elif kind == "swap":
        other = int(rng.integers(len(lines)))
        lines[place], lines[other] = lines[other], lines[place]
    elif kind == "word":
        words[int(rng.integers(len(words)))] = choose(
            rng, (b"nan", b"inf", b"1e400", b"-1", b"999999999999999999999", b"x", b"\xff\xfe", b"\x00", b"")
        )
        lines[place] = b" ".join(words)
    elif kind == "less":
        lines[place] = b" ".join(words[:-1])
    elif kind == "more":
        lines[place] += b" 7 7"
    else:
        return kind, data.decode("latin1").encode("utf-16")
    return f"{kind} of line", b"\n".join(lines)


# --- structure --------------------------------------------------------------------------------------------------------


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything below a tree of dicts, lists and arrays."""
    if isinstance(tree, dict):
        items: Any = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    elif isinstance(tree, np.ndarray) and tree.dtype.names:
        items = (((index, name), tree[index][name]) for index in np.ndindex(tree.shape) for name in tree.dtype.names)
    elif isinstance(tree, np.ndarray) and tree.dtype == object:
        items = ((index, tree[index]) for index in np.ndindex(tree.shape))
    else:
        return
    for key, value in items:
        yield tree, key
        yield from _nodes(value)


def _set(container: Any, key: Any, value: Any) -> None:
    if isinstance(container, np.ndarray) and container.dtype.names:
        container[key[0]][key[1]] = value
    else:
        container[key] = value


def _get(container: Any, key: Any) -> Any:
    return container[key[0]][key[1]] if isinstance(container, np.ndarray) and container.dtype.names else container[key]


def _mutate_array(array: np.ndarray, rng: Rng) -> tuple[str, Any]:
    kind = choose(rng, ("flat", "half", "empty", "type", "nan", "huge", "scalar", "list", "axis", "more", "minus"))
    new: Any = array.copy()
    if kind in ("nan", "huge", "minus") and new.size and new.dtype.kind in "fiu":
        new = new.astype(np.float64)
        value = {"nan": np.nan, "huge": 1e300, "minus": -1}[kind]
        new.flat[slice(None) if rng.random() < 0.3 else int(rng.integers(new.size))] = value
        return kind, new
    if kind == "type" and new.dtype.kind in "fiub":
        return kind, new.astype(choose(rng, ("S8", "U8", np.complex128, np.uint8, np.float16, bool)))
    kinds = {
        "flat": lambda: new.reshape(-1),
        "half": lambda: new[: len(new) // 2] if new.ndim else new,
        "empty": lambda: np.zeros((0, 0)),
        "scalar": lambda: choose(rng, _VALUES),
        "list": lambda: new.tolist(),
        "axis": lambda: new[None],
    }
    return kind, kinds.get(kind, lambda: np.concatenate([new, new]) if new.ndim else new)()


def mutate_tree(tree: Any, rng: Rng, hostile: Any = None) -> tuple[str, Any]:
    """A copy of plain data, of which one part is another; what was done, and the copy.

    Args:
        tree: dicts, lists, arrays and scalars.
        rng: draws the place and the change.
        hostile: an object to put in at times.
    """
    tree = copy.deepcopy(tree)
    if rng.random() < 0.5:
        return mutate_field(tree, rng)
    nodes = list(_nodes(tree))
    if not nodes:
        return "replaced", choose(rng, _VALUES)
    container, key = choose(rng, nodes)
    value = _get(container, key)
    kind = choose(rng, ("replace", "replace", "delete", "repeat", "wrap", "swap", "rename", "inside"))
    if hostile is not None and rng.random() < 0.2:
        kind, new = "hostile", hostile
    elif isinstance(value, np.ndarray) and value.dtype.names is None and kind in ("replace", "inside", "wrap"):
        kind, new = _mutate_array(value, rng)
    elif kind in ("delete", "rename") and isinstance(container, dict):
        del container[key]
        if kind == "rename":
            container[f"{key}x"] = value
        return f"{kind} {key}", tree
    elif kind == "delete" and isinstance(container, list):
        del container[key]
        return f"{kind} {key}", tree
    elif kind == "repeat" and isinstance(container, list):
        container.insert(key, value)
        return f"{kind} {key}", tree
    elif kind == "swap":
        other, place = choose(rng, nodes)
        new = copy.deepcopy(_get(other, place))
    elif kind == "wrap":
        new = [value]
    elif kind == "inside" and isinstance(value, list):
        new = value[: len(value) // 2]
    elif kind == "inside" and isinstance(value, int | float):
        new = -value if rng.random() < 0.5 else value * 10**9
    else:
        new = choose(rng, _VALUES)
    try:
        _set(container, key, new)
    except (TypeError, ValueError, IndexError, OverflowError):
        # An array cannot hold just anything; then it is damaged as bytes.
        return "unchanged", tree
    return f"{kind} at {key}: {new!r:.60}", tree


class _Twice(dict[str, Any]):
    """An object that is written with one of its keys twice."""

    def items(self) -> Any:
        return [*super().items(), *list(super().items())[:1]]


def _fields(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """(path, container, key) of every field of plain data; the records of a list have their fields in common."""
    if isinstance(tree, dict):
        items: list[tuple[Any, Any, str]] = [(key, value, str(key)) for key, value in tree.items()]
    elif isinstance(tree, list):
        items = [(i, value, "*") for i, value in enumerate(tree)]
    else:
        items = [(key, _get(tree, key), str(key)) for _, key in _nodes_of(tree)]
    for key, value, name in items:
        yield (*path, name), tree, key
        yield from _fields(value, (*path, name))


def _nodes_of(array: Any) -> list[tuple[Any, Any]]:
    """The places of an array of records or objects itself, without what lies below."""
    return [(container, key) for container, key in _nodes(array) if container is array]


def mutate_field(tree: Any, rng: Rng) -> tuple[str, Any]:
    """One field, each as likely as any other however many values it holds, changed in one record or in all; in place.

    Where a value is drawn among all values instead, nearly all draws fall on coordinates.
    """
    fields: dict[tuple[str, ...], list[tuple[Any, Any]]] = {}
    for path, container, key in _fields(tree):
        fields.setdefault(path, []).append((container, key))
    if not fields:
        return "unchanged", tree
    path = choose(rng, list(fields))
    change = choose(rng, FIELD_CHANGES)
    places = fields[path] if rng.random() < 0.3 else [choose(rng, fields[path])]
    # From the end, so that the places of a list hold while its elements go.
    for container, key in reversed(places):
        try:
            _change_field(change, container, key, rng)
        except (TypeError, ValueError, IndexError, OverflowError):
            # Arrays and texts cannot hold or do just anything.
            continue
    where = "all" if len(places) > 1 else "one"
    return f"{'.'.join(path)} of {where} {change}", tree


FIELD_CHANGES = ("absent", "null", "text", "list", "NaN", "infinite", "huge", "negative", "duplicated")


def _change_field(change: str, container: Any, key: Any, rng: Rng) -> None:
    value = _get(container, key)
    if change == "absent" and isinstance(container, dict | list):
        del container[key]
    elif change == "duplicated" and isinstance(container, list):
        container.insert(key, copy.deepcopy(value))
    elif change == "duplicated" and isinstance(value, dict) and value:
        container[key] = _Twice(value)
    else:
        _set(container, key, _changed(change, value, rng))


def _changed(change: str, value: Any, rng: Rng) -> Any:
    """A value in place of another; arrays keep their shape where the change is one of numbers."""
    numbers = {"NaN": np.nan, "infinite": choose(rng, (np.inf, -np.inf)), "huge": choose(rng, (1e300, 10**30, 2**31))}
    if change in numbers:
        number = numbers[change]
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            return np.full(value.shape, float(number))
        return [number] * len(value) if isinstance(value, list) else number
    if change == "negative":
        if isinstance(value, list):
            return [_changed(change, item, rng) for item in value]
        return -value if isinstance(value, int | float | np.ndarray) else -1
    if change == "duplicated":
        return np.concatenate([value, value]) if isinstance(value, np.ndarray) else [value, value]
    text: Any = "x" if rng.random() < 0.5 else str(value)[:200]
    return {"text": text, "list": choose(rng, ([], [value]))}.get(change)


def _json(data: bytes, rng: Rng, canary: Path) -> tuple[str, bytes]:
    if rng.random() < 0.02:
        return "nested deeply", b'{"images": ' + b"[" * 200_000
    what, tree = mutate_tree(json.loads(data), rng)
    return what, json.dumps(tree, default=repr).encode("ascii")


def _pickle(data: bytes, rng: Rng, canary: Path) -> tuple[str, bytes]:
    # Our own file, written by the fixture: the plain loader is safe here.
    what, tree = mutate_tree(pickle.loads(data, encoding="latin1"), rng, Hostile(canary))
    return what, pickle.dumps(tree, protocol=int(rng.integers(0, 6)))


def _npz(data: bytes, rng: Rng, canary: Path) -> tuple[str, bytes]:
    with np.load(io.BytesIO(data), allow_pickle=True) as content:
        arrays = dict(content)
    what, tree = mutate_tree(arrays, rng, np.array([Hostile(canary)], dtype=object))
    buffer = io.BytesIO()
    np.savez(buffer, **{f"{name}": np.asanyarray(_array(value)) for name, value in dict(tree).items()})
    return what, buffer.getvalue()


def _mat(data: bytes, rng: Rng, canary: Path) -> tuple[str, bytes]:
    content = {name: value for name, value in loadmat(io.BytesIO(data)).items() if not name.startswith("__")}
    buffer = io.BytesIO()
    what, tree = mutate_tree(content, rng)
    savemat(buffer, tree)
    return what, buffer.getvalue()


def _hdf5(data: bytes, rng: Rng, canary: Path) -> tuple[str, bytes]:
    with h5py.File(io.BytesIO(data)) as file:
        arrays = {name: np.asarray(file[name]) for name in file}
    what, tree = mutate_tree(arrays, rng)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, value in tree.items():
            file[name] = value
    return what, buffer.getvalue()


def _parquet(data: bytes, rng: Rng, canary: Path) -> tuple[str, bytes]:
    table = pq.read_table(io.BytesIO(data))
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    what, tree = mutate_tree(columns, rng)
    buffer = io.BytesIO()
    try:
        damaged = pa.table(tree, table.schema)
    except _UNWRITABLE:
        damaged = pa.table(tree)
    pq.write_table(damaged, buffer)
    return what, buffer.getvalue()


def _tar(data: bytes, rng: Rng, canary: Path) -> tuple[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        members = [(member.name, found.read()) for member in file if (found := file.extractfile(member))]
    place = int(rng.integers(len(members)))
    name, content = members[place]
    pickled = name.endswith(".pyd") and rng.random() < 0.8
    what, damaged = _pickle(content, rng, canary) if pickled else mutate_bytes(content, rng)
    members[place] = name, damaged
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return f"{name}: {what}", buffer.getvalue()


def _array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    array = np.empty((), dtype=object)
    array[()] = value
    try:
        return np.asarray(value)
    except ValueError:
        return array


_STRUCTURE: dict[str, Callable[[bytes, Rng, Path], tuple[str, bytes]]] = {
    ".json": _json,
    ".pkl": _pickle,
    ".npz": _npz,
    ".mat": _mat,
    ".h5": _hdf5,
    ".parquet": _parquet,
    ".tar": _tar,
}
_LINES = (".calibration", ".asf", ".amc", ".calib", ".txt")
# What writers of these formats say to data that they cannot hold.
_UNWRITABLE = (
    TypeError, ValueError, KeyError, OverflowError, AttributeError, IndexError, OSError, RuntimeError,
    pa.ArrowException,
)  # fmt: skip


def mutate(path: Path, data: bytes, rng: Rng, canary: Path) -> tuple[str, bytes]:
    """Damage a file's content, in half of the cases with its format left intact.

    Args:
        path: of the file, whose suffix says the format.
        data: its honest content.
        rng: draws the damage.
        canary: folder that is made if a reader runs code that the file brings.
    """
    suffix = ".h5" if data.startswith(b"\x89HDF") else path.suffix
    if rng.random() < 0.6:
        if suffix in _LINES:
            return mutate_lines(data, rng)
        if suffix in _STRUCTURE:
            try:
                return _STRUCTURE[suffix](data, rng, canary)
            except _UNWRITABLE:
                pass
    return mutate_bytes(data, rng)


# --- harmless changes -------------------------------------------------------------------------------------------------


def harmless_json(data: bytes, rng: Rng) -> bytes:
    """The same content with other white space, another order of keys, and unknown keys beside those that have an id."""

    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        if not isinstance(value, dict):
            return value
        items = [(key, shuffled(item)) for key, item in value.items()]
        if "id" in value or "images" in value:
            items.append(("unknown_key", {"id": [1, None]}))
        return dict(items[i] for i in rng.permutation(len(items)))

    indent = choose(rng, (None, 1, "\t"))
    text = json.dumps(shuffled(json.loads(data)), indent=indent, ensure_ascii=bool(rng.integers(2)))
    return b"\n " + text.replace("\n", "\r\n").encode() + b"\n\n"


def harmless_pickle(data: bytes, rng: Rng) -> bytes:
    """The same content in another protocol, with keys in another order and an unknown one."""
    items = list(pickle.loads(data, encoding="latin1").items())
    content = dict(items[i] for i in rng.permutation(len(items)))
    return pickle.dumps({**content, "unknown_key": [1, None]}, protocol=int(rng.integers(2, 6)))


def harmless_npz(data: bytes, rng: Rng) -> bytes:
    """The same arrays, compressed, in another order, and an unknown one."""
    with np.load(io.BytesIO(data)) as content:
        items = list(content.items())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, unknown_key=np.arange(3), **dict(items[i] for i in rng.permutation(len(items))))
    return buffer.getvalue()


def harmless_mat(data: bytes, rng: Rng) -> bytes:
    """The same variables, compressed, and an unknown one."""
    content = {name: value for name, value in loadmat(io.BytesIO(data)).items() if not name.startswith("__")}
    buffer = io.BytesIO()
    savemat(buffer, {"unknown_key": np.arange(3.0), **content}, do_compression=True)
    return buffer.getvalue()


def harmless_lines(data: bytes, rng: Rng) -> bytes:
    """The same lines with other white space."""
    return b"\r\n".join(line.replace(b" ", b"  ") + b" " for line in data.splitlines()) + b"\r\n"


HARMLESS: dict[str, Callable[[bytes, Rng], bytes]] = {
    ".json": harmless_json,
    ".pkl": harmless_pickle,
    ".npz": harmless_npz,
    ".mat": harmless_mat,
    ".calibration": harmless_lines,
    ".txt": harmless_lines,
}
