"""Damaged files of every reader: each is read or refused by an error that names it.

The number for each reader is a setting, ``FUZZ_MUTATIONS``: small here, 2,000 by hand. A fault names its mutation;
``FUZZ_ONLY=number`` runs that one again.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.support.fuzzing import check_table, fuzz
from tests.support.layouts import LAYOUTS, make_reader
from tests.support.mutations import HARMLESS

MUTATIONS = int(os.environ.get("FUZZ_MUTATIONS", "5"))


def numbers_of(name: str) -> list[int]:
    """The mutations of a reader."""
    if "FUZZ_ONLY" in os.environ:
        return [int(os.environ["FUZZ_ONLY"])]
    first = zlib.crc32(name.encode()) % 1000
    return list(range(first, first + MUTATIONS))


@pytest.mark.parametrize("name", LAYOUTS)
def test_damaged_files_are_read_or_refused(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    reader = make_reader(name, request, tmp_path / "honest")
    folder = tmp_path / "fuzz"
    folder.mkdir()
    reader.read(str(folder / "honest_cache"))
    faults = fuzz(reader, numbers_of(name), folder)
    assert not faults, "\n\n".join(faults)


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if layout.harmless])
def test_harmless_changes_read_the_same(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    reader = make_reader(name, request, tmp_path / "honest")
    honest = reader.read(str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for path in reader.files:
        if path.suffix in HARMLESS:
            path.write_bytes(HARMLESS[path.suffix](path.read_bytes(), rng))
    changed = reader.read(str(tmp_path / "another_cache"))
    assert honest.ids() == changed.ids()
    assert honest.dropped == changed.dropped
    for column in honest.columns:
        np.testing.assert_array_equal(honest.column(column), changed.column(column))
    assert check_table(changed) is None
