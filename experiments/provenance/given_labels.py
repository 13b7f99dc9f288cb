"""Label tables that a run was given (``labels=``) instead of making its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.ids import dataset_of_table
from datamodules.pseudo_gt.native import PROVENANCE_FILE, LabelError, read_provenance
from experiments.settings.schema import TARGETS


def given_tables(folders: Sequence[str]) -> dict[str, Path]:
    """The tables in some folders.

    Args:
        folders: tables called <dataset>-<split>, or folders of such, a run's for example.

    Returns:
        Target -> folder of its label table.

    Raises:
        LabelError: a folder holds none, a name does not say of which target, or two are of the same.
    """
    tables: dict[str, Path] = {}
    for folder in map(Path, folders):
        for table in _tables_in(folder):
            name = dataset_of_table(table.name)
            if name not in TARGETS:
                msg = f"labels.folders: {table} is not called <dataset>-<split> after one of {', '.join(TARGETS)}"
                raise LabelError(msg)
            if name in tables:
                msg = f"labels.folders: {tables[name]} and {table} are both of {name}; give one of them"
                raise LabelError(msg)
            tables[name] = table
    return tables


def _tables_in(folder: Path) -> list[Path]:
    """A label table itself, or those in a run's folder or in a folder of labels; not MoCap's in the world frame."""
    if "-" in folder.name and dataset_of_table(folder.name) in TARGETS:
        return [folder]
    root = folder / "labels" if (folder / "labels").is_dir() else folder
    tables = [path.parent for path in sorted(root.glob(f"*/{PROVENANCE_FILE}"))]
    tables = [table for table in tables if dataset_of_table(table.name) in TARGETS]
    tables = [table for table in tables if read_provenance(table)["frame"] == "camera"]
    if not tables:
        msg = f"labels.folders: {folder} is no label table called <dataset>-<split>, and holds none"
        raise LabelError(msg)
    return tables
