"""Data sets on disk to people: one file a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from body_models.components import from_outside
from datamodules.files import AnnotationError
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.views import Filters
from datamodules.sources.amass import Poses, open_amass
from datamodules.sources.cmu_asf_amc import open_cmu
from datamodules.sources.coco import open_coco
from datamodules.sources.crowdpose import open_crowdpose
from datamodules.sources.detections import open_detections
from datamodules.sources.emdb import open_emdb
from datamodules.sources.human36m import open_human36m
from datamodules.sources.label_table import attach_labels, open_pseudo_gt
from datamodules.sources.lspet import open_lspet
from datamodules.sources.mpi_inf_3dhp import open_mpi_inf_3dhp
from datamodules.sources.mpii import open_mpii
from datamodules.sources.threedpw import open_threedpw

SOURCES: dict[str, Callable[..., PeopleTable]] = {
    "coco": open_coco,
    "mpii": open_mpii,
    "mpi_inf_3dhp": open_mpi_inf_3dhp,
    "threedpw": open_threedpw,
    "emdb": open_emdb,
    "human36m": open_human36m,
    "lspet": open_lspet,
    "crowdpose": open_crowdpose,
    "detections": open_detections,
    "pseudo_gt": open_pseudo_gt,
    **from_outside("sources"),
}
"""Kind of a source -> function of (root, split, cache_dir, and options of its own)."""

POSE_SOURCES: dict[str, Callable[..., Poses]] = {
    "amass": open_amass,
    "cmu_asf_amc": open_cmu,
}
"""Kind of motion capture without pictures -> function of (root, cache_dir, and options of its own)."""


def open_source(
    kind: str,
    cache_dir: str = "cache",
    labels: str | None = None,
    label_filter: Filters | None = None,
    **options: Any,
) -> PeopleTable:
    """People of a source.

    Args:
        kind: one of :data:`SOURCES`.
        cache_dir: folder for caches.
        labels: folder of a label table whose SMPL parameters these people get; only people with a label are kept.
        label_filter: limits that their labels have to keep, see :mod:`datamodules.pseudo_gt.views`.
        **options: root, split, and what the source's function takes besides.
    """
    if kind not in SOURCES:
        msg = f"unknown kind of source {kind!r}: one of {', '.join(SOURCES)}"
        raise AnnotationError(msg)
    table = SOURCES[kind](cache_dir=cache_dir, **options)
    return table if labels is None else attach_labels(table, labels, cache_dir, label_filter)
