"""The body model and the joint losses beside smplx's layer, which always poses all vertices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import smplx
import torch
from smplx.utils import Struct
from torch import Tensor, nn

from body_models.camera import project
from body_models.contracts import Prediction
from body_models.model_files import read_model_files
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from body_models.spec import SMPL
from experiments.benches.rows import Row, seconds_in_turn
from lightning_modules.losses import LOSS_TERMS, combine

_ON_CPU, _ON_GPU = (64,), (64, 1024)
"""Batch sizes."""
_CALLS, _REPEATS = 5, 7
_SIDE, _FOCAL, _DEPTH = 256, 5000.0, 40.0
"""Crop in pixels, its focal length, and metres to a body."""
_LOSSES = {"joints_2d": 10.0, "joints_3d": 2.0}


def bench_body_model(folder: Path) -> list[Row]:
    """Bodies a second, forward and backward: joints with their losses, and all vertices."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    body = BodyModel().to(device)
    layer = smplx.SMPLLayer("unused", data_struct=Struct(**read_model_files().arrays), num_betas=SMPL.shape_size).to(
        device
    )
    sizes = _ON_GPU if torch.cuda.is_available() else _ON_CPU
    return [row for size in sizes for row in _rows(body, layer, size, device)]


def _rows(body: BodyModel, layer: nn.Module, size: int, device: torch.device) -> list[Row]:
    pose = [value.to(device).requires_grad_() for value in _pose(size)]
    batch = _annotations(size, device)

    def joints() -> None:
        _loss(body.joints(*pose), pose, batch).backward()

    def reference_joints() -> None:
        _loss(_reference_joints(body, layer, pose), pose, batch).backward()

    def vertices() -> None:
        body(*pose).vertices.square().mean().backward()

    def reference_vertices() -> None:
        _reference(layer, pose).vertices.square().mean().backward()

    return [
        _row(f"joints and their losses, batch {size}", size, joints, reference_joints),
        _row(f"all vertices, batch {size}", size, vertices, reference_vertices),
    ]


def _row(name: str, size: int, ours: Callable[[], None], reference: Callable[[], None]) -> Row:
    seconds, theirs = seconds_in_turn((ours, reference), _REPEATS, _CALLS)
    rate, ratio = size / np.median(seconds), np.median(theirs / seconds)
    return Row(f"{name}, forward and backward", float(rate), "bodies/s", "smplx's layer", float(ratio))


def _pose(size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``global_orient``, ``body_pose``, ``betas`` and ``transl`` of random bodies in front of the camera."""
    generator = torch.Generator().manual_seed(0)
    rotations = axis_angle_to_matrix(0.3 * torch.randn(size, len(SMPL.joints), 3, generator=generator))
    betas = torch.randn(size, SMPL.shape_size, generator=generator)
    return rotations[:, 0], rotations[:, 1:], betas, torch.tensor([0.0, 0.0, _DEPTH]).repeat(size, 1)


def _annotations(size: int, device: torch.device) -> Any:
    """What the joint losses read of a batch, with all joints known."""
    known = torch.ones(size, len(SMPL.body_joints), device=device)
    return {
        "image": torch.empty(size, 3, _SIDE, _SIDE, dtype=torch.uint8, device="meta"),
        "joints_2d": torch.full((size, len(SMPL.body_joints), 2), _SIDE / 2, device=device),
        "joints_2d_conf": known,
        "joints_3d": torch.zeros(size, len(SMPL.body_joints), 3, device=device),
        "joints_3d_conf": known,
        "root_index": torch.zeros(size, dtype=torch.int64, device=device),
    }


def _reference(layer: nn.Module, pose: Sequence[Tensor]) -> Any:
    global_orient, body_pose, betas, transl = pose
    return layer(global_orient=global_orient[:, None], body_pose=body_pose, betas=betas, transl=transl, pose2rot=False)


def _reference_joints(body: BodyModel, layer: nn.Module, pose: Sequence[Tensor]) -> Tensor:
    """(B, J, 3) the joints of :meth:`body_models.smpl.BodyModel.joints`, by way of all vertices."""
    posed = _reference(layer, pose)
    return torch.cat((posed.joints[:, : len(SMPL.joints)], body.mesh_regressor @ posed.vertices), dim=1)


def _loss(joints: Tensor, pose: Sequence[Tensor], batch: Any) -> Tensor:
    global_orient, body_pose, betas, transl = pose
    focal, princpt = joints.new_full((len(joints), 2), _FOCAL), joints.new_full((len(joints), 2), _SIDE / 2)
    prediction = Prediction(
        global_orient, body_pose, betas, transl, focal, princpt, joints, project(joints, focal, princpt)
    )
    return combine({name: LOSS_TERMS[name](prediction, batch) for name in _LOSSES}, _LOSSES)[0]
