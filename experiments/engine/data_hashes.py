"""What lies behind a path to a user's data set, as a hash: a stage's key holds it, so that other data is noticed.

The content of annotation files is hashed once, when the cached people table is built from them, and the table is valid
while path, size and mtime of each file hold: asking again reads one small file. So a copy of the same files with other
times gives the same hash, and an edited file another. Images are not hashed: a data set's annotations say which and
how large they are; where damaged ones are left out, their people count. Pose sequences (AMASS, thousands of files) are
told by their names and sizes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from datamodules.columns import open_columns
from datamodules.image_checks import damaged_people
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.native import PROVENANCE_FILE
from datamodules.sources import open_source
from datamodules.sources.amass import find_sequences
from datamodules.sources.cmu_asf_amc import find_clips
from experiments.settings import sources
from experiments.settings.schema import Settings


def people_of(settings: Settings, name: str) -> PeopleTable:
    """The people of a user's data set; the table is built if it is not in the cache.

    Args:
        settings: of the run.
        name: of a source that has a path.
    """
    return open_source(cache_dir=settings.paths.cache, **sources.source(settings, None, name))


def content(settings: Settings, name: str) -> str:
    """Short hash of the annotation files of a user's data set, of their content and not of their place."""
    if name == "amass":
        root = Path(sources.root_of(settings, None, name))
        files = find_sequences(root) + find_clips(root)
        parts = [f"{path.relative_to(root)} {path.stat().st_size}" for path in sorted(files)]
    else:
        table = people_of(settings, name)
        _, meta = open_columns(table.folder)
        parts = [source["sha256"] for source in meta["sources"]]
        if settings.skip_damaged_images and name not in sources.EVALUATED:
            # Nobody is left out for most data sets, and these keep the key that they have without the setting.
            damaged = table.column("id")[damaged_people(table, settings.paths.cache)]
            parts += [person.decode() for person in damaged.tolist()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def label_content(folder: str | Path) -> str | None:
    """Short hash of a label table's labels.json, which names the checkpoint or file that it came from; None without."""
    path = Path(folder) / PROVENANCE_FILE
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else None
