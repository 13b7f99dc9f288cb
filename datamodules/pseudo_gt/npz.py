"""NumPy archives of any length in little memory: written column by column as rows come, read column by column.

numpy.savez wants all arrays at once. Here each column grows in a temporary file of its own, and the archive is put
together from these files at the end, so that one pass over the labels is enough and only one block of rows is in
memory. Strings, which are small, wait in memory, because their common width is known only at the end.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from body_models.safe_pickle import NUMPY_ERRORS, ModelFileError, parse_pickle
from datamodules.pseudo_gt.native import LabelError, require_people, some_of
from datamodules.writing import replacing

_COPY_BYTES = 1 << 20


class NpzWriter:
    """Streams columns into a .npz file; a context manager. The file appears when the block ends without an error.

    Args:
        path: of the archive.
        compressed: columns that are mostly zeros and are to be compressed.
    """

    def __init__(self, path: Path, compressed: tuple[str, ...] = ()) -> None:
        self._path, self._compressed = path, compressed
        self._files: dict[str, IO[bytes]] = {}
        self._kinds: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        self._rows: dict[str, int] = {}
        self._strings: dict[str, list[str]] = {}
        self._whole: dict[str, Any] = {}

    def __enter__(self) -> NpzWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Beside the result: a system's folder for temporary files is often small.
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self._path.name}-", dir=self._path.parent))
        return self

    def append(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add rows to columns; a column has the same dtype and row shape every time."""
        for name, values in columns.items():
            if values.dtype.kind in "OU":
                self._strings.setdefault(name, []).extend(map(str, values))
                continue
            kind = (values.dtype, values.shape[1:])
            if self._kinds.setdefault(name, kind) != kind:
                msg = f"column {name} came as {self._kinds[name]} and as {kind}"
                raise ValueError(msg)
            if name not in self._files:
                self._files[name] = (self._folder / name).open("wb")
            self._files[name].write(np.ascontiguousarray(values).data)
            self._rows[name] = self._rows.get(name, 0) + len(values)

    def put(self, name: str, value: Any) -> None:
        """Store one value as it is, as numpy.savez would: an array, a number or a string; a dict is pickled."""
        self._whole[name] = value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for file in self._files.values():
                file.close()
            if kind is None:
                with replacing(self._path) as temporary:
                    self._put_together(temporary)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _put_together(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
            for name, (dtype, shape) in self._kinds.items():
                header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False}
                with self._member(archive, name) as member, (self._folder / name).open("rb") as file:
                    npy.write_array_header_1_0(member, {**header, "shape": (self._rows[name], *shape)})
                    shutil.copyfileobj(file, member, _COPY_BYTES)
            for name, texts in self._strings.items():
                with self._member(archive, name) as member:
                    npy.write_array(member, np.array(texts, dtype=str), allow_pickle=False)
            for name, value in self._whole.items():
                with self._member(archive, name) as member:
                    npy.write_array(member, np.asanyarray(value), allow_pickle=isinstance(value, dict))

    def _member(self, archive: zipfile.ZipFile, name: str) -> IO[bytes]:
        info = zipfile.ZipInfo(name + ".npy")
        info.external_attr = 0o644 << 16
        if name in self._compressed:
            info.compress_type = zipfile.ZIP_DEFLATED
            info._compresslevel = 1  # type: ignore[attr-defined]
        return archive.open(info, "w", force_zip64=True)


class NpzReader:
    """Columns of a .npz file, one at a time; nothing that stands in it is run. A context manager.

    Args:
        path: of the archive.
        what: the layout that it should have, for messages.

    Attributes:
        names: of the members.
        rows: of the file, once a column was read.
        left_out: rows that :meth:`leave_out` took out, by reason; columns come without them.

    Raises:
        LabelError: it is no archive, or a column is damaged; the message names both.
    """

    def __init__(self, path: str | Path, what: str) -> None:
        self.path, self._what = Path(path), what
        if not self.path.is_file():
            msg = f"{path}: there is no such file; {what} is read from a .npz file"
            raise LabelError(msg)
        try:
            self._archive = zipfile.ZipFile(path)
        except NUMPY_ERRORS as error:
            msg = f"{path} is not a readable .npz file ({error}); it may be truncated: get it again"
            raise LabelError(msg) from error
        self.names = [name.removesuffix(".npy") for name in self._archive.namelist()]
        self.rows: int | None = None
        self.left_out: dict[str, int] = {}
        self._kept: NDArray[np.int64] | None = None

    def __enter__(self) -> NpzReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def value(self, name: str) -> Any:
        """Content of a member: an array, or what a pickled one holds as plain data."""
        if name not in self.names:
            msg = f"{self.path} has no key {name}, so it is not {self._what}; it has {some_of(self.names, 20)}"
            raise LabelError(msg)
        try:
            with self._archive.open(name + ".npy") as member:
                version = npy.read_magic(member)
                read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                _, _, dtype = read_header(member)
                if dtype.hasobject:
                    return parse_pickle(member.read(), f"{self.path}, key {name}")
            with self._archive.open(name + ".npy") as member:
                return npy.read_array(member, allow_pickle=False)
        except ModelFileError as error:
            raise LabelError(str(error)) from error
        except NUMPY_ERRORS as error:
            msg = f"{self.path}: key {name} cannot be read ({error}); get the file again"
            raise LabelError(msg) from error

    def numbers(self, name: str, *shape: int, dtype: type = np.float32) -> NDArray[Any]:
        """A column of finite numbers, reshaped to (N, \\*shape); N is the same for all columns of a file."""
        return self.check(name, self.value(name), *shape, dtype=dtype)

    def check(self, name: str, values: Any, *shape: int, dtype: type = np.float32) -> NDArray[Any]:
        """Values of a key, or of a part of one, as :meth:`numbers` gives them.

        Raises:
            LabelError: they are not such a column; the key, and the row where it is one row's fault, are named.
        """
        try:
            kept = self._rows(name, values)
            if kept.dtype == object:  # rows that are arrays themselves
                kept = np.array(kept.tolist())
            if kept.dtype.kind == "c":
                msg = "complex numbers"
                raise TypeError(msg)
            with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
                array: NDArray[Any] = kept.astype(dtype)
            array = array.reshape(len(array), *shape) if shape else array
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(error, LabelError):
                raise
            found = getattr(values, "shape", type(values).__name__)
            msg = f"{self.path}: {name} is not numbers of shape {('N', *shape)} but {found}"
            raise LabelError(msg) from error
        bad = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
        if len(bad):
            row = int(bad[0] if self._kept is None else self._kept[bad[0]])
            msg = f"{self.path}: person {row}: {name} is not finite ({len(bad)} such)"
            raise LabelError(msg)
        return array

    def _rows(self, name: str, values: Any) -> NDArray[Any]:
        """The rows of a column that are not left out; all columns of a file have the same number of rows."""
        array = self._array(name, values)
        count = len(array)
        if self.rows not in (None, count):
            msg = f"{self.path}: {name} has {count} rows, the others have {self.rows}"
            raise LabelError(msg)
        self.rows = count
        return array if self._kept is None else array[self._kept]

    def leave_out(self, *flags: str) -> None:
        """Leave out the rows in which one of these columns is 0, from all columns that are read after this.

        A row that is flagged as absent may hold NaN or nothing, so it is taken out before numbers are checked.

        Raises:
            LabelError: a flag is not there, or nobody is left.
        """
        present = {flag: self.numbers(flag, 1)[:, 0] > 0 for flag in flags}
        kept = np.ones(self.rows or 0, dtype=bool)
        for flag, has in present.items():
            if absent := int((kept & ~has).sum()):
                self.left_out[f"{flag} is 0"] = absent
            kept &= has
        require_people(self.path, int(kept.sum()), self.left_out)
        self._kept = np.flatnonzero(kept)

    def array(self, name: str) -> NDArray[Any]:
        """Content of a member as one array, of any kind.

        Raises:
            LabelError: it is a list of lists of different lengths.
        """
        return self._array(name, self.value(name))

    def _array(self, name: str, values: Any) -> NDArray[Any]:
        try:
            return np.asarray(values)
        except ValueError as error:
            msg = f"{self.path}: {name} is no array, its rows differ in length"
            raise LabelError(msg) from error

    def texts(self, name: str) -> NDArray[Any]:
        """(N,) object array of str; bytes are decoded."""
        return self.strings(name, self.value(name))

    def strings(self, name: str, values: Any) -> NDArray[Any]:
        """Values of a key, or of a part of one, as :meth:`texts` gives them."""
        values = self._rows(name, self._array(name, values).reshape(-1))
        items = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]
        return np.array(items, dtype=object)


def dump_portable(value: Any) -> bytes:
    """A pickle that NumPy 1 and 2 both read: NumPy 2 names a module that old installations do not have.

    Protocol 3 names modules in plain lines, without lengths that would have to follow.
    """
    return pickle.dumps(value, protocol=3).replace(b"cnumpy._core.", b"cnumpy.core.")
