"""Reads the field's pickles (SMPL models, 3DPW sequences) without running anything that stands in them.

A pickle is a program. This reader knows the few classes that honest files hold - NumPy arrays, SciPy sparse matrices,
chumpy's array wrappers - and puts inert shells in their place; any other name, and any instruction that could act on
something else, is refused. chumpy, which no longer installs, is not needed.

Python 2 and 3 pickles of every protocol are read; strings of Python 2 become str by latin1.
"""

from __future__ import annotations

import io
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

MAX_DENSE = 1 << 24  # elements of a sparse matrix written out; SMPL's regressor has 24 x 6890
MAX_DEPTH = 64
NUMPY_ERRORS = (
    OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, OverflowError, NotImplementedError, RuntimeError,
    SyntaxError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""All that numpy.load was seen to raise on damaged files; it has no type of its own for them."""


class ModelFileError(ValueError):
    """A file that is missing, damaged or of another kind. The message names it and says what to do."""


class UnsafePickleError(ModelFileError):
    """A pickle that asks for more than data."""


class _Refused(pickle.UnpicklingError):
    """Raised inside the reader where it meets something that it does not allow."""


class _DtypeShell:
    """Stands for numpy.dtype: numbers, booleans, strings, and objects, which are read as the list that they are."""

    def __init__(self, code: str = "", align: object = False, copy: object = True) -> None:
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not isinstance(code, str) or code.lstrip("<>|=")[:1] not in tuple("biufUSO"):
            msg = f"array type {code!r}"
            raise _Refused(msg)
        self.code, self.order = code.lstrip("<>|="), "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1] if state[1] in ("<", ">", "=") else "="

    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _ArrayShell:
    """Stands for numpy.ndarray and NumPy scalars."""

    array: NDArray[Any]
    items: list[Any] | None = None  # of an array of objects
    shape: tuple[int, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        self.fill(shape, dtype, "F" if fortran else "C", raw)

    def fill(self, shape: tuple[int, ...], dtype: object, order: Literal["C", "F"], raw: object) -> None:
        if isinstance(dtype, _DtypeShell) and dtype.code == "O8" and isinstance(raw, list):
            self.items, self.shape = raw, tuple(int(n) for n in shape)
            return
        if isinstance(raw, str):
            raw = raw.encode("latin1")
        if not isinstance(dtype, _DtypeShell) or not isinstance(raw, bytes | bytearray):
            msg = "array of objects"
            raise _Refused(msg)
        if dtype.code.startswith("O"):
            msg = "bytes as objects"
            raise _Refused(msg)
        # A copy, so that the array is writable and does not hold on to the file.
        flat = np.frombuffer(raw, dtype.dtype())
        self.array = flat.reshape([int(n) for n in shape], order=order).copy(order=order)


class _ObjectShell:
    """Stands for an object of one of the known classes; keeps its attributes and does nothing."""

    kind = ""

    def __init__(self, *args: object) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 2:
            state = {**(state[0] or {}), **(state[1] or {})}
        self.attributes = dict(state)


def _known_names() -> dict[tuple[str, str], Callable[..., Any]]:
    """What a pickle may name, made anew for each file, so that nothing that a file changes outlives it."""

    class Array(_ArrayShell):
        pass

    class Dtype(_DtypeShell):
        pass

    def shell(kind: str) -> type[_ObjectShell]:
        return type(kind, (_ObjectShell,), {"kind": kind})

    def reconstruct(*_: object) -> Array:
        return Array()

    def scalar(dtype: object, raw: object) -> Array:
        array = Array()
        array.fill((), dtype, "C", raw)
        return array

    def from_buffer(raw: object, dtype: object, shape: tuple[int, ...], order: str, *_: object) -> Array:
        array = Array()
        array.fill(shape, dtype, "F" if order == "F" else "C", raw)
        return array

    def encode(text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
            msg = f"codec {encoding!r}"
            raise _Refused(msg)
        return text.encode("latin1")

    def new_object(cls: object, *_: object) -> object:
        if not (isinstance(cls, type) and issubclass(cls, _ObjectShell)):
            msg = f"an object of {cls!r}"
            raise _Refused(msg)
        return cls()

    def to_list(items: object = ()) -> list[Any]:
        if not isinstance(items, list | tuple):
            msg = "a set of something else than a list"
            raise _Refused(msg)
        return list(items)

    def empty_bytes() -> bytes:
        return b""

    names: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): Array,
        ("numpy", "dtype"): Dtype,
        ("_codecs", "encode"): encode,
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = reconstruct
        names[f"{core}.multiarray", "scalar"] = scalar
        names[f"{core}.numeric", "_frombuffer"] = from_buffer
    for module in ("copy_reg", "copyreg"):
        names[module, "_reconstructor"] = new_object
    for module in ("__builtin__", "builtins"):
        names[module, "object"] = shell("object")
        names[module, "bytes"] = empty_bytes  # how Python 3 writes b"" for Python 2
        names[module, "list"] = names[module, "set"] = to_list
    for kind, modules in (
        ("csc", ("scipy.sparse.csc", "scipy.sparse._csc")),
        ("csr", ("scipy.sparse.csr", "scipy.sparse._csr")),
    ):
        for module in modules:
            names[module, f"{kind}_matrix"] = names[module, f"{kind}_array"] = shell(kind)
    for module in ("chumpy", "chumpy.ch"):
        names[module, "Ch"] = shell("Ch")
    names["chumpy.reordering", "Select"] = shell("Select")
    return names


class _Reader(pickle._Unpickler):
    """The interpreter written in Python: the one in C does not let single instructions be closed."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    # The base class's own, which its type stubs leave out.
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]

    for _code in (pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.PERSID, pickle.BINPERSID):
        del dispatch[_code[0]]

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._size = len(data)
        self._names = _known_names()

    def find_class(self, module: str, name: str) -> Any:
        found = self._names.get((module, name))
        if found is None:
            msg = f"{module}.{name}"
            raise _Refused(msg)
        return found

    def load_build(self) -> None:
        """Give an object its state: only to our own shells."""
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, _ArrayShell | _DtypeShell | _ObjectShell):
            msg = f"a state for {type(target).__name__}"
            raise _Refused(msg)
        target.__setstate__(state)

    dispatch[pickle.BUILD[0]] = load_build

    def load_bytearray8(self) -> None:
        """As in the base class, but without first allocating whatever size the file claims."""
        (size,) = struct.unpack("<Q", self.read(8))
        if size > self._size:
            msg = "a byte array longer than the file"
            raise pickle.UnpicklingError(msg)
        self.append(bytearray(self.read(size)))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


class _Plain:
    """Turns what was read into plain objects, each shared part once, so that no file can blow up."""

    def __init__(self) -> None:
        self.done: dict[int, Any] = {}
        self.open: set[int] = set()

    def __call__(self, value: Any, depth: int = 0) -> Any:
        if value is None or isinstance(value, str | bytes | bytearray | bool | int | float | complex):
            return value
        key = id(value)
        if key in self.done:
            return self.done[key]
        if key in self.open or depth > MAX_DEPTH:
            msg = "data that contain themselves or nest too deeply"
            raise _Refused(msg)
        self.open.add(key)
        self.done[key] = self.convert(value, depth + 1)
        self.open.remove(key)
        return self.done[key]

    def convert(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return {self(k, depth): self(v, depth) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)(self(item, depth) for item in value)
        if isinstance(value, _ArrayShell) and value.items is not None:
            objects = np.empty(len(value.items), dtype=object)
            for i, item in enumerate(value.items):
                objects[i] = self(item, depth)
            return objects.reshape(value.shape) if value.shape else objects[0]
        if isinstance(value, _ArrayShell):
            return value.array if value.array.ndim else value.array[()]
        if isinstance(value, _ObjectShell):
            attributes = value.attributes
            if value.kind == "Ch":
                return self(attributes["x"], depth)
            if value.kind == "Select":
                chosen = np.ravel(self(attributes["a"], depth))[self(attributes["idxs"], depth)]
                shape = attributes.get("preferred_shape")
                return chosen if shape is None else chosen.reshape([int(n) for n in shape])
            if value.kind in ("csc", "csr"):
                return self.dense(value, depth)
        msg = f"an object of type {getattr(value, 'kind', '') or type(value).__name__}"
        raise _Refused(msg)

    def dense(self, value: _ObjectShell, depth: int) -> NDArray[Any]:
        attributes = value.attributes
        rows, columns = (int(n) for n in attributes.get("_shape") or attributes["shape"])
        starts, inner, data = (self(attributes[name], depth) for name in ("indptr", "indices", "data"))
        counts = np.diff(starts)
        honest = 0 <= rows * columns <= MAX_DENSE and (counts >= 0).all() and len(data) == len(inner) == counts.sum()
        if not honest:
            msg = "a sparse matrix whose parts do not fit"
            raise pickle.UnpicklingError(msg)
        outer = np.repeat(np.arange(len(counts)), counts)
        out = np.zeros((rows, columns), dtype=np.asarray(data).dtype)
        np.add.at(out, (inner, outer) if value.kind == "csc" else (outer, inner), data)
        return out


def load_pickle(path: Path | str) -> Any:
    """Read a pickle as plain data.

    Args:
        path: the file.

    Returns:
        Python's own types and NumPy arrays; chumpy arrays and sparse matrices come as dense arrays, sets as they are
        in Python 3 and as lists in Python 2 files.

    Raises:
        UnsafePickleError: the file names something else than data.
        ModelFileError: the file is missing, empty, truncated or no pickle.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise ModelFileError(msg) from error
    return parse_pickle(data, str(path))


def parse_pickle(data: bytes, name: str) -> Any:
    """Read a pickle that is in memory; arguments and errors as in :func:`load_pickle`, ``name`` for messages."""
    try:
        return _Plain()(_Reader(data).load())
    except _Refused as error:
        msg = f"{name}: refused, because this pickle asks for {error}; get the file from its official source"
        raise UnsafePickleError(msg) from error
    except (
        pickle.UnpicklingError, EOFError, struct.error, AttributeError, KeyError, IndexError, TypeError, ValueError,
        ArithmeticError, AssertionError, MemoryError, RecursionError,
    ) as error:  # fmt: skip
        msg = f"{name}: no readable pickle, truncated or damaged ({type(error).__name__}: {error}); fetch it again"
        raise ModelFileError(msg) from error
