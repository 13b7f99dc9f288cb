"""Columns on disk: a folder of .npy files that all workers and ranks map into memory instead of copying.

A folder is made once, under a name that depends on its sources (path, size, mtime), on the arguments and on the
reader's version, and is never changed afterwards. It is written beside its final place and renamed, so it is either
complete or not there, whoever builds it at the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.files import AnnotationError

Arrays = dict[str, NDArray[Any]]
META_FILE = "table.json"


def build_or_open(
    cache_root: str | Path,
    name: str,
    source_files: Sequence[Path],
    arguments: Mapping[str, Any],
    version: int,
    build: Callable[[], tuple[Arrays, dict[str, Any]]],
) -> Path:
    """Folder with the columns that ``build`` makes from the source files; made only if it is not there yet.

    Args:
        cache_root: folder that holds all caches.
        name: readable beginning of the folder's name.
        source_files: files that ``build`` reads; a change of path, size or mtime makes a new folder.
        arguments: everything else (JSON values) that the content depends on.
        version: raised when the reader's meaning changes.
        build: returns the columns, and JSON values to keep with them.
    """
    sources = [_stamp(path) for path in source_files]
    key = json.dumps([sources, arguments, version], sort_keys=True)
    folder = Path(cache_root) / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    try:
        arrays, meta = build()
    except AnnotationError as error:
        raise _naming(source_files, error) from error
    for stamp in sources:
        stamp["sha256"] = _content_hash(Path(stamp["path"]))
    meta = {**meta, "sources": sources, "arguments": dict(arguments), "version": version}
    return write_folder(folder, lambda temporary: _write_columns(temporary, arrays, meta))


def write_folder(folder: Path, write: Callable[[Path], None]) -> Path:
    """Fill a temporary folder by ``write`` and rename it to ``folder``, unless another process was faster."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(temporary)
        # mkdtemp makes it private; a cache may be shared by a group.
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            # Another process finished the same content first; anything else is a real fault.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def open_columns(folder: Path) -> tuple[Arrays, dict[str, Any]]:
    """Columns as read-only arrays over the files' pages, and what is stored with them."""
    meta = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
    return {name: map_array(folder / f"{name}.npy") for name in meta["columns"]}, meta


def map_array(path: Path) -> NDArray[Any]:
    """A .npy file as a read-only array over its pages; np.memmap's own indexing is several times slower."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _write_columns(folder: Path, arrays: Arrays, meta: dict[str, Any]) -> None:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    text = json.dumps({**meta, "columns": sorted(arrays)}, indent=1)
    (folder / META_FILE).write_text(text, encoding="utf-8")


def _naming(files: Sequence[Path], error: AnnotationError) -> AnnotationError:
    """The error with the files that were read, unless it names one: what is found in rows does not know its file."""
    if any(str(path) in str(error) for path in files):
        return error
    more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
    return AnnotationError(f"{files[0]}{more}: {error}")


def _stamp(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"path": os.path.abspath(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
