"""True bodies of synthetic people, and how far labels are from them. Nothing that trains reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from body_models.parameters import BodyParameters
from callbacks.person_errors import Evaluation
from datamodules.ids import PersonId
from datamodules.pseudo_gt.native import iter_labels, read_provenance
from lightning_modules.scoring.protocol import PER_JOINT
from lightning_modules.scoring.protocols import BodyScorer

LABEL_PROTOCOL = "smpl24"
"""Labels are compared with true bodies on the 24 SMPL joints: both are SMPL bodies in the same axes."""


def truth_of(labels: Path) -> Path | None:
    """File of the true bodies of a label table's people: beside the synthetic world that its images are of, if any."""
    root = read_provenance(labels)["image_root"]
    if root is None:
        return None
    dataset, split, _ = PersonId.parse(next(iter_labels(labels, rows=1, columns=["id"]))["id"][0])
    worlds = [folder for folder in Path(root).parents if (folder / "world.json").is_file()]
    files = [world / "truth" / f"{dataset}_{split}.npz" for world in worlds]
    return next((file for file in files if file.is_file()), None)


def read_truth(path: Path, ids: Sequence[str]) -> BodyParameters:
    """True bodies of synthetic people, in the order of ids, all of which must be in the file."""
    with np.load(path, allow_pickle=False) as content:
        row = {str(name): i for i, name in enumerate(content["id"])}
        rows = [row[name] for name in ids]
        columns = {name: content[name][rows] for name in ("global_orient", "body_pose", "betas", "gender")}
    return BodyParameters.of_columns(columns)


def compare_with_truth(body_models: str, ids: Sequence[str], pred: BodyParameters, truth: Path) -> Evaluation:
    """Errors of bodies against the true ones of the same people, in the original camera's axes.

    Args:
        body_models: reference of the bodies, see :mod:`body_models.bodies`.
        ids: (N,) of the people.
        pred: their N bodies.
        truth: file of true bodies; must hold all of the ids.
    """
    scores = BodyScorer(body_models, [LABEL_PROTOCOL]).score(pred, read_truth(truth, ids))
    arrays = {name: value.numpy() for name, value in scores.values.items()}
    arrays |= {f"{key}_{PER_JOINT}": value.numpy() for key, value in scores.per_joint.items()}
    return Evaluation.of(np.array(ids), arrays)
