"""Damaged files of every published layout, imported as a user does: refused by name, or a table without holes.

With a source people are matched and units compared; without one the ids are the file's own. The number of mutations is
a setting, ``FUZZ_MUTATIONS``, as in test_fuzz.py.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.pseudo_gt.formats import FORMATS
from datamodules.pseudo_gt.importing import import_labels
from datamodules.pseudo_gt.native import LabelTable, read_labels
from datamodules.sources.label_table import open_pseudo_gt
from tests.support.fuzzing import Reader, fuzz
from tests.support.layouts import LAYOUTS

MUTATIONS = int(os.environ.get("FUZZ_MUTATIONS", "5"))


def make_importer(format: str, root: Path, with_source: bool) -> Reader:
    """Writes labels in a layout, and says how they are imported."""
    layout = LAYOUTS[f"published_{format}"]
    assert layout.write is not None
    root.mkdir()
    layout.write(root)
    path = root / FORMATS[format].name
    companions = sorted(path.parent.glob(f"{path.stem}*"))
    files = [file for one in companions for file in (sorted(one.iterdir()) if one.is_dir() else [one])]
    dataset = "human36m" if FORMATS[format].camera == "world" else "coco"

    def run(cache: str) -> None:
        source = open_pseudo_gt(str(root / "labels"), None, cache) if with_source else None
        report = import_labels(path, format, Path(cache, "imported"), dataset, "train", source)
        table = read_labels(Path(cache, "imported"))
        assert report.found == report.people + sum(report.left_out.values())
        assert (fault := find_fault(table)) is None, fault

    return Reader(f"import_{format}{'_source' if with_source else ''}", files, run)


def find_fault(table: LabelTable) -> str | None:
    """What no imported table may hold."""
    for name, values in table.columns.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return f"column {name} is not finite"
    if len(set(table.columns["id"])) < len(table):
        return "ids are not unique"
    if "box" in table.columns and (table.columns["box"][:, 2:] <= 0).any():
        return "a box has no area"
    return None


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads of torch do not come along into the process that damaged files are read in, which would wait for them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("with_source", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_damaged_files_are_imported_or_refused(format: str, with_source: bool, tmp_path: Path) -> None:
    if with_source and FORMATS[format].camera == "world":
        pytest.skip("labels of the world are of no single image")
    importer = make_importer(format, tmp_path / "honest", with_source)
    folder = tmp_path / "fuzz"
    folder.mkdir()
    importer.read(str(folder / "honest_cache"))
    first = zlib.crc32(importer.name.encode()) % 1000
    faults = fuzz(importer, range(first, first + MUTATIONS), folder)
    assert not faults, "\n\n".join(faults)
