"""Submission folders of the 3DPW challenge (ECCV 2020), by the numbers of its official script.

``{train,validation,test}/<sequence>.pkl``, named as the sequence files are; each a dict with one or both of:

============== ================= ===================================================================================
key            shape             content
============== ================= ===================================================================================
jointPositions (P, F, 24, 3)     SMPL's joints of P people in F frames, metres, axes of the frame's camera
orientations   (P, F, 9, 3, 3)   global rotations of root, hips, knees, shoulders and elbows (SMPL's joints 0 1 2 4 5
                                 16 17 18 19) in these axes
============== ================= ===================================================================================

Frames with campose_valid = 0, and those whose poses2d are all zero, are not looked at. As the challenge's README and
``evaluate.py`` (aymenmir1/3dpw-eval; a copy in Arthur151/ROMP) have it: the true body is that of the person's gender,
joints are relative to joint 0. MPJPE; MPJPE_PA after Procrustes on the 24 joints; PCK at 50 mm (<=) and AUC (trapezoid
over 0..199 mm, in units of its width) over joints 1 2 4 5 7 8 16 to 21; MPJAE, the angle between the rotations; and
MPJAE_PA, the same after the rotation of that Procrustes is put before the prediction's. All are means over the frames
of all people. The script takes the three splits together, which is split ``all`` here. Nothing in the files is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from body_models.bodies import BodyModels
from body_models.parameters import BodyParameters
from body_models.safe_pickle import load_pickle
from body_models.spec import SMPL
from callbacks.person_errors import EvaluationError
from datamodules.ids import PersonId
from datamodules.progress import show_progress
from datamodules.sources.threedpw import SPLITS, read_sequence_file
from experiments.evaluation.against_truth import say_free_body
from experiments.evaluation.scores import ProtocolErrors
from experiments.provenance.records import is_free_body
from lightning_modules.scoring import metrics
from lightning_modules.scoring.protocol import MPJAE_JOINTS, PCK_JOINTS
from lightning_modules.scoring.protocols import global_rotations

PROTOCOL = "3dpw/challenge"
_JOINTS, _ORIENTATIONS = "jointPositions", "orientations"
_SHAPES = {_JOINTS: (len(SMPL.joints), 3), _ORIENTATIONS: (len(MPJAE_JOINTS), 3, 3)}


def score_submission(folder: Path, data: str | Path, split: str, body_models: str) -> ProtocolErrors:
    """Score a submission folder.

    Args:
        folder: with the folders of the splits.
        data: root of 3DPW; its sequenceFiles are read, images are not needed.
        split: train, validation, test, or all of them.
        body_models: reference of SMPL's bodies of both genders.

    Returns:
        The metrics of each person in each frame that counts; NaN for one with NaN or infinity.

    Raises:
        EvaluationError: a sequence is missing, is no such pickle, or differs from the others in what it holds.
        AnnotationError: the data set is not what it should be.
        ModelFileError: a pickle is damaged or holds more than data.
    """
    say_free_body(body_models)
    splits = SPLITS if split == "all" else (split,)
    pairs = [pair for one in splits for pair in _pair_files(folder, Path(data), one)]
    bodies = BodyModels(body_models)
    parts: list[tuple[list[str], dict[str, NDArray[Any]], NDArray[Any]]] = []
    kinds: set[str] = set()
    for submitted, true in show_progress(pairs, "evaluating sequences"):
        content = _read_submission(submitted)
        if kinds and kinds != set(content):
            msg = f"{submitted} holds {' and '.join(content)}, the files before it {' and '.join(sorted(kinds))}"
            raise EvaluationError(msg)
        kinds = set(content)
        parts += _score_sequence(submitted, content, true, bodies)
    if not parts:
        msg = f"{data}: no frame of the split {split} counts: none has both a valid camera and poses2d"
        raise EvaluationError(msg)
    names = parts[0][1]
    ids = [name for part in parts for name in part[0]]
    return ProtocolErrors(
        protocol=PROTOCOL,
        ids=np.array(ids),
        metrics={name: np.concatenate([part[1][name] for part in parts]) for name in names},
        per_joint=np.concatenate([part[2] for part in parts]),
        joint_names=SMPL.joints,
        groups=np.array([PersonId.parse(name).key_parts[0] for name in ids]),
        facts={"split": split, "free_body": is_free_body(body_models)},
    )


def _pair_files(folder: Path, data: Path, split: str) -> list[tuple[Path, Path]]:
    """Submitted and true file of each sequence of a split."""
    true = sorted((data / "sequenceFiles" / split).glob("[!.]*.pkl"))
    if not true:
        msg = f"{data / 'sequenceFiles' / split} holds no sequence (*.pkl): get sequenceFiles.zip of 3DPW"
        raise EvaluationError(msg)
    pairs = [(folder / split / path.name, path) for path in true]
    lost = [submitted.name for submitted, _ in pairs if not submitted.is_file()]
    if lost:
        msg = (
            f"{folder / split} lacks {len(lost)} of the {len(true)} sequences of this split, {lost[0]} among them; a "
            "submission holds {train,validation,test}/SEQUENCE.pkl, of which --split chooses"
        )
        raise EvaluationError(msg)
    return pairs


def _read_submission(path: Path) -> dict[str, Any]:
    content = load_pickle(path)
    found = {key: content[key] for key in _SHAPES if key in content} if isinstance(content, dict) else {}
    if not found:
        what = (
            f"a dict with {', '.join(map(str, content))[:80]}" if isinstance(content, dict) else type(content).__name__
        )
        msg = f"{path} holds {what or 'nothing'}, not a dict with {_JOINTS} or {_ORIENTATIONS}"
        raise EvaluationError(msg)
    return found


def _score_sequence(
    path: Path, content: dict[str, Any], true: Path, bodies: BodyModels
) -> list[tuple[list[str], dict[str, NDArray[Any]], NDArray[Any]]]:
    """Ids, metrics and errors of the joints of each person's frames that count."""
    sequence = read_sequence_file(true)
    view = torch.from_numpy(sequence.extrinsics[:, :3, :3])
    shape = (len(sequence.tracks), len(view))
    arrays = {key: _array(path, key, value, (*shape, *_SHAPES[key])) for key, value in content.items()}
    found = []
    for person, track in enumerate(sequence.tracks):
        frames = np.flatnonzero(track["campose_valid"] & track["has_poses2d"])
        if not len(frames):
            continue
        joints, rotations = _pose(track, frames, view[frames], bodies)
        some = {key: torch.from_numpy(array[person, frames]) for key, array in arrays.items()}
        ids = [f"threedpw/{true.parent.name}/{true.stem}/{frame}/{person}" for frame in frames]
        found.append((ids, *_score(some, joints, rotations)))
    return found


def _array(path: Path, key: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"{path}: {key} is not an array of numbers ({str(error)[:80]})"
        raise EvaluationError(msg) from error
    if array.shape != shape:
        msg = f"{path}: {key} has shape {array.shape}, expected {shape}: people, frames and so on of the sequence"
        raise EvaluationError(msg)
    return array


def _pose(track: dict[str, Any], frames: NDArray[Any], view: Tensor, bodies: BodyModels) -> tuple[Tensor, Tensor]:
    """SMPL's true joints and global rotations, float64, in the axes of the frames' cameras."""
    betas = torch.from_numpy(track["betas"]).expand(len(frames), -1)
    people = BodyParameters.of_axis_angle(torch.from_numpy(track["poses"][frames]), betas)
    people.gender = torch.full((len(frames),), track["gender"])
    joints = bodies.joints(people)[:, : len(SMPL.joints)].double()
    return torch.einsum("nij,nkj->nki", view, joints), view[:, None] @ global_rotations(people.rotations, SMPL)


def _score(some: dict[str, Tensor], joints: Tensor, rotations: Tensor) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    values: dict[str, Tensor] = {}
    errors = torch.full(joints.shape[:2], torch.nan, dtype=torch.float64)
    if _JOINTS in some:
        pred, true = (metrics.align_root(points, 0) for points in (some[_JOINTS], joints))
        limbs = pred[:, PCK_JOINTS], true[:, PCK_JOINTS]
        errors = metrics.joint_errors(pred, true)
        values["mpjpe"] = metrics.mpjpe(pred, true)
        values["pa_mpjpe"] = metrics.pa_mpjpe(pred, true)
        values["pck50"] = 100 * metrics.pck(*limbs, threshold_mm=50.0)
        values["auc200"] = 100 * metrics.auc(*limbs)
    if _ORIENTATIONS in some:
        turned, truly = some[_ORIENTATIONS], rotations[:, MPJAE_JOINTS]
        values["mpjae"] = metrics.mpjae(turned, truly)
        if _JOINTS in some:
            values["mpjae_pa"] = metrics.mpjae(metrics.similarity_rotation(pred, true)[:, None] @ turned, truly)
    # One number of samples for all metrics: whoever is not finite anywhere is left out everywhere.
    finite = torch.stack([value.isfinite().flatten(1).all(dim=1) for value in some.values()]).all(dim=0)
    found = {name: value.where(finite, torch.nan).numpy() for name, value in values.items()}
    return found, errors.where(finite[:, None], torch.nan).numpy()
