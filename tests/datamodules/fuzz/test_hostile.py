"""Files that were made to do harm: sizes that fill the memory, and code where data is expected."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.crops import read_image
from datamodules.files import ImageError, check_image, image_size
from lightning_modules.weights.checkpoints import CheckpointError, read_state_dict
from tests.support.fuzzing import OWN_ERRORS
from tests.support.layouts import LAYOUTS, make_reader
from tests.support.mutations import HARMLESS, Hostile


def bomb(path: Path, width: int, height: int) -> None:
    """A small PNG that says it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*pair) for pair in chunks))


@pytest.mark.parametrize("size", [(30_000, 30_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_pictures_that_say_they_are_huge_are_refused(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    bomb(path, *size)
    for read in (check_image, read_image):
        with pytest.raises(ImageError, match=r"bomb\.png"):
            read(path, (640, 480))
    if size[0] > 30_000:
        with pytest.raises(ImageError, match=r"bomb\.png"):
            image_size(path)


def test_checkpoints_run_nothing(tmp_path: Path) -> None:
    path, canary = tmp_path / "evil.ckpt", tmp_path / "canary"
    torch.save({"state_dict": {"weight": torch.zeros(3)}, "extra": Hostile(canary)}, path)
    with pytest.raises(CheckpointError, match=r"evil\.ckpt"):
        read_state_dict(path)
    assert not canary.exists()


def test_files_of_another_layout_are_refused(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Each json in the place of each other: read, if the layouts are that alike, or refused by name."""
    readers = [
        make_reader(name, request, tmp_path / name)
        for name, layout in LAYOUTS.items()
        if any(pattern.endswith("*.json") for pattern in layout.patterns) and layout.harmless
    ]
    contents = [reader.files[0].read_bytes() for reader in readers]
    for reader in readers:
        path = reader.files[0]
        honest = path.read_bytes()
        for number, content in enumerate(contents):
            path.write_bytes(content)
            try:
                reader.read(str(tmp_path / f"cache-{reader.name}-{number}"))
            except OWN_ERRORS as error:
                assert path.name in str(error), reader.name
        path.write_bytes(honest)


def test_the_harness_sees_code_that_runs(tmp_path: Path) -> None:
    """Without this the canary could be silent for want of a cage."""
    import pickle

    pickle.loads(pickle.dumps([np.zeros(2), Hostile(tmp_path / "canary")]))
    assert (tmp_path / "canary").is_dir() and ".pkl" in HARMLESS
