"""Where each data set of a run comes from: a path given by the user, or the synthetic world's folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from datamodules.benchmarks import BENCHMARKS
from experiments.settings.schema import ONLY_WORLD, WITHOUT_WORLD, Settings

# Name in the settings -> (paths key, if any, and folder in the synthetic world, kind of source, split).
_SOURCES = {
    "coco": ("coco", "coco", "train"),
    "mpii": ("mpii", "mpii", "train"),
    "mpi_inf_3dhp": ("mpi_inf_3dhp", "mpi_inf_3dhp", "train"),
    "threedpw_train": ("threedpw", "threedpw", "train"),
    "amass": ("amass", "amass", "train"),
    "human36m": ("human36m", "human36m", "train"),
    "lspet": ("lspet", "lspet", "train"),
    "crowdpose": ("crowdpose", "crowdpose", "train"),
    "detections": ("detections", "detections", "train"),
    # The world's people in the wild with true bodies lie in 3DPW's layout. By this name they are not taken for 3DPW.
    "synthetic": ("synthetic", "threedpw", "train"),
    **{f"{one.name}_{split}": (one.name, one.name, split) for one in BENCHMARKS.values() for split in one.kept_splits},
}
_BENCHMARK_OF = {f"{one.name}_{split}": one for one in BENCHMARKS.values() for split in one.kept_splits}
EVALUATED = tuple(_BENCHMARK_OF)
"""Sources that are only evaluated on, whose people are never left out for their images."""
_WORLD_FOLDERS = {one.name: one.world for one in BENCHMARKS.values() if one.world} | {"synthetic": "3dpw"}


def same_data(name: str, other: str) -> bool:
    """Whether two sources are the same people, as long as the synthetic world has both."""
    return _SOURCES[name][1:] == _SOURCES[other][1:]


def is_source(name: str) -> bool:
    """Whether there is a source of that name."""
    return name in _SOURCES


def split_of(name: str) -> str:
    """Split of a data set that a source is, e.g. ``coco-train``; the world's own people are not taken for 3DPW."""
    _, kind, split = _SOURCES[name]
    return f"{name if name in ONLY_WORLD else kind}-{split}"


def is_synthetic(settings: Settings, name: str) -> bool:
    """Whether a source comes from the synthetic world."""
    return not needs_path(name) and _given_root(settings, name) is None


def has_path(settings: Settings, name: str) -> bool:
    """Whether the user says where a source lies."""
    return _given_root(settings, name) is not None


def needs_path(name: str) -> bool:
    """Whether the synthetic world does not have a source, so that a path must say where it is."""
    return name in WITHOUT_WORLD or (name in _BENCHMARK_OF and _BENCHMARK_OF[name].world is None)


def path_key(name: str) -> str:
    """The setting that says where a source lies, e.g. ``paths.coco``."""
    return f"paths.{_SOURCES[name][0]}"


def root_of(settings: Settings, world: Path | None, name: str) -> str:
    """Folder of a source's data set.

    Args:
        settings: of the run.
        world: folder of the synthetic world, or None if no source needs it.
        name: of the source.
    """
    given = _given_root(settings, name)
    if given is not None:
        return str(given)
    assert world is not None
    dataset = _SOURCES[name][0]
    return str(world / _WORLD_FOLDERS.get(dataset, dataset))


def _given_root(settings: Settings, name: str) -> str | None:
    """The path that the user gives for a source; None where it is the synthetic world's."""
    # A wrong name is explained with the other errors of the configuration, which asks here before it is complete.
    return None if name in ONLY_WORLD or name not in _SOURCES else getattr(settings.paths, _SOURCES[name][0])


def source(settings: Settings, world: Path | None, name: str, **options: Any) -> dict[str, Any]:
    """A source as the DataModules take it."""
    _, kind, split = _SOURCES[name]
    root = root_of(settings, world, name)
    return {"kind": kind, "root": root, "split": split, **reading(settings, name), **options}


def reading(settings: Settings, name: str) -> dict[str, Any]:
    """Settings of a user's data set that its reader takes."""
    root = _given_root(settings, name)
    if root is None:
        return {}
    if name == "human36m" and settings.human36m.smpl and not settings.annotate.targets.get(name):
        from datamodules.sources.human36m import has_fits  # here, so that --help is quick

        return {"body_models": settings.paths.body_models} if has_fits(root) else {}
    if name in _BENCHMARK_OF and _BENCHMARK_OF[name].needs_body_models:
        return {"body_models": settings.paths.body_models}
    if name == "detections":
        return dataclasses.asdict(settings.detections)
    if name == "mpi_inf_3dhp":
        return {"variant": settings.mpi_inf_3dhp.variant, "frame_step": settings.mpi_inf_3dhp.frame_step}
    return {}
