"""What the dump writes about each person: the body and camera that the network says, and how good they look."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from body_models.camera import crop_camera_to_image
from body_models.contracts import Batch, Prediction
from body_models.joint_limits import degrees_outside
from body_models.mirror import mirror_points
from body_models.parameters import BodyParameters
from body_models.rotations import axis_angle_to_matrix
from body_models.spec import BodySpec
from lightning_modules.fitting.refinement import error_2d
from lightning_modules.priors.pose_mixture import PoseMixture

_LIMIT_TOLERANCE_DEG = 0.1
# What is left of an annotator's evidence where a person has no joints.
_WITHOUT_JOINTS = {"image": "image", "joints": "nothing", "both": "image"}


def label_rows(
    batch: Batch,
    prediction: Prediction,
    disagreement: Tensor | None = None,
    accepted: Tensor | None = None,
    evidence: str = "image",
) -> dict[str, NDArray[Any]]:
    """Columns of the native label table (:mod:`datamodules.pseudo_gt.native`) for a batch without augmentation.

    Those that the body alone decides are added by :func:`with_body_quality`, for many batches at once.

    Args:
        batch: of people.
        prediction: of their crops.
        disagreement: (B,) mm, of :func:`mirror_disagreement`; None leaves the column NaN.
        accepted: (B,) bool, whose refinement was accepted; None where nothing was refined.
        evidence: what the annotator looks at: image, joints or both.
    """
    size = batch["image"].shape[-1]
    focal, princpt = crop_camera_to_image(prediction.focal, prediction.princpt, batch["box"], size)
    body = BodyParameters(*prediction.parameters())
    pose = body.axis_angle()
    error = error_2d(batch, prediction)
    unknown = torch.full_like(error, torch.nan)
    columns = {
        "box": batch["box"],
        "global_orient": pose[:, :3],
        "body_pose": pose[:, 3:],
        "betas": body.betas,
        "transl": prediction.transl,
        "focal": focal,
        "princpt": princpt,
        "error_2d": error,
        "visible_joints": (batch["joints_2d_conf"] > 0).sum(dim=1),
        "mirror_disagreement": unknown if disagreement is None else disagreement,
    }
    if prediction.latent is not None:
        columns["latent"] = prediction.latent
    rows = _to_host(columns)
    rows["visible_joints"] = rows["visible_joints"].astype(np.int32)
    people = len(batch["id"])
    refinement = np.full(people, "none")
    if accepted is not None:
        refinement = np.where(accepted.cpu().numpy(), "accepted", "rejected")
    seen = np.where(rows["visible_joints"] > 0, evidence, _WITHOUT_JOINTS[evidence])
    return {"gender": np.full(people, "neutral"), **rows, "evidence": seen, "refinement": refinement}


def with_body_quality(
    spec: BodySpec, columns: dict[str, NDArray[Any]], mixture: PoseMixture | None
) -> dict[str, NDArray[Any]]:
    """Rows of :func:`label_rows` with the columns that their bodies alone decide.

    Args:
        spec: of the bodies.
        columns: of any number of people; a few thousand at once take a tenth of the time of as many small batches.
        mixture: what poses are scored by; None leaves ``prior_score`` NaN.
    """
    device = torch.device("cpu") if mixture is None else next(mixture.buffers()).device
    pose, betas = (torch.from_numpy(columns[name]).to(device) for name in ("body_pose", "betas"))
    with torch.no_grad():
        quality = body_quality(spec, axis_angle_to_matrix(pose.unflatten(1, (-1, 3))), pose, betas, mixture)
    rows = {name: value.cpu().numpy() for name, value in quality.items()}
    rows["limit_violations"] = rows["limit_violations"].astype(np.int32)
    return {**columns, **rows}


def body_quality(
    spec: BodySpec, body_pose: Tensor, axis_angle: Tensor, betas: Tensor, mixture: PoseMixture | None = None
) -> dict[str, Tensor]:
    """Quality columns that the body alone decides, (B,) each.

    Args:
        spec: of the bodies.
        body_pose: (B, R, 3, 3).
        axis_angle: (B, 3 R) the same, radians.
        betas: (B, S).
        mixture: what poses are scored by; None leaves ``prior_score`` NaN.
    """
    outside = degrees_outside(body_pose, spec)
    scored = torch.full_like(axis_angle[:, 0], torch.nan) if mixture is None else mixture.neg_log_density(axis_angle)
    return {
        "prior_score": scored,
        "limit_violations": (outside > _LIMIT_TOLERANCE_DEG).sum(dim=1),
        "limit_excess_deg": outside.sum(dim=1),
        "max_abs_beta": betas.abs().amax(dim=1),
    }


def mirror_disagreement(spec: BodySpec, prediction: Prediction, mirrored: Prediction) -> Tensor:
    """(B,) mm: mean root-relative distance of the turned joints to those of the mirrored crop, mirrored back."""
    joints, other = (
        each.joints_3d[:, : len(spec.joints)] - each.joints_3d[:, :1].float() for each in (prediction, mirrored)
    )
    other = mirror_points(other, np.array(spec.mirror))
    return 1000 * torch.linalg.vector_norm(joints - other, dim=-1)[:, 1:].mean(dim=1)


def _to_host(columns: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    """All columns as fp32 arrays, by one copy from the device."""
    flat = [value.detach().float().reshape(len(value), -1) for value in columns.values()]
    together = torch.cat(flat, dim=1).cpu().numpy()
    parts = np.split(together, np.cumsum([value.shape[1] for value in flat])[:-1], axis=1)
    return {
        name: part if value.ndim > 1 else part[:, 0] for (name, value), part in zip(columns.items(), parts, strict=True)
    }
