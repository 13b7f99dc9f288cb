"""Files that have their name once they are complete: written beside their place, put on the disk, then renamed."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path, shared: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path``, whose file takes the name when the block ends without an error.

    The content is on the disk before the name is: neither a killed process nor a machine that loses its power leaves
    half a file that looks complete.

    Args:
        path: the file to write; its folder is made.
        shared: several processes may write it at a time, so that each needs a temporary name of its own. Otherwise the
            name is always the same, and what a killed process left is overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tag = f"{socket.gethostname()}-{os.getpid()}" if shared else "tmp"
    # Hidden, so that no pattern finds it; with the ending that writers look at.
    temporary = path.with_name(f".{path.stem}.{tag}{path.suffix}")
    try:
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
        # Some file systems cannot say so of the names in a folder.
        with suppress(OSError):
            _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file so that no reader ever sees half of it; returns its path."""
    with replacing(path, shared=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write JSON so that no reader ever sees half of it; returns its path."""
    return write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
