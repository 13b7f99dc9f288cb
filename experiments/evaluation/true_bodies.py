"""True bodies of synthetic people, and how far labels are from them. Nothing that trains reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from body_models.contracts import GENDERS
from callbacks.person_errors import Evaluation
from datamodules.ids import PersonId
from datamodules.pseudo_gt.native import Columns, body_parameters, iter_labels, read_provenance
from lightning_modules.scoring.protocols import PER_JOINT, Bodies, BodyScorer

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


def read_truth(path: Path, ids: Sequence[str]) -> Bodies:
    """True bodies of synthetic people, in the order of ids, all of which must be in the file."""
    with np.load(path, allow_pickle=False) as content:
        row = {str(name): i for i, name in enumerate(content["id"])}
        rows = [row[name] for name in ids]
        columns = {name: content[name][rows] for name in ("global_orient", "body_pose", "betas", "gender")}
    return bodies_of(columns)


def bodies_of(columns: Columns) -> Bodies:
    """Label columns (or true bodies in the same columns) as the scorer takes them; neutral where no gender is said."""
    parameters = body_parameters({"transl": np.zeros((len(columns["betas"]), 3), np.float32), **columns})
    gender = torch.from_numpy(_numbers(columns["gender"])) if "gender" in columns else None
    return Bodies(parameters["global_orient"], parameters["body_pose"], parameters["betas"], gender)


def _numbers(gender: NDArray[Any]) -> NDArray[np.int64]:
    if gender.dtype.kind in "OUS":
        return np.array([GENDERS.index(str(name)) for name in gender])
    return gender.astype(np.int64)


def compare_with_truth(body_models: str, ids: Sequence[str], pred: Bodies, truth: Path) -> Evaluation:
    """Errors of bodies against the true ones of the same people, in the original camera's axes.

    Args:
        body_models: folder of model files, or "free".
        ids: (N,) of the people.
        pred: their N bodies.
        truth: file of true bodies; must hold all of the ids.
    """
    scores = BodyScorer(body_models, [LABEL_PROTOCOL]).score(pred, read_truth(truth, ids))
    arrays = {name: value.numpy() for name, value in scores.values.items()}
    arrays |= {f"{key}_{PER_JOINT}": value.numpy() for key, value in scores.per_joint.items()}
    return Evaluation.of(np.array(ids), arrays)
