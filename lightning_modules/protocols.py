"""Evaluation protocols: which joints, which root and which alignment turn two bodies into numbers.

The same two bodies have different errors under different protocols, so every number carries its protocol's name:
``<protocol>_<metric>``, e.g. ``lsp14_pa_mpjpe``. Errors are in millimetres, angles in degrees, PCK and AUC in percent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from body_models.contracts import GENDERS, Batch, Prediction
from body_models.joint_sets import BODY_JOINT_INDEX, H36M_JOINTS, LSP14_FROM_H36M, SMPL_JOINTS, SMPL_PARENTS
from body_models.smpl import BodyModel
from lightning_modules.metrics import align_root, auc, mpjae, mpjpe, mpvpe, pa_mpjpe, pck

_SMPL24 = [BODY_JOINT_INDEX[name] for name in SMPL_JOINTS]
_H36M_PELVIS = BODY_JOINT_INDEX[H36M_JOINTS[0]]
_LSP14 = [BODY_JOINT_INDEX[H36M_JOINTS[row]] for row in LSP14_FROM_H36M]
_PCK_JOINTS = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
_MPJAE_JOINTS = [0, 1, 2, 4, 5, 16, 17, 18, 19]


class Bodies(NamedTuple):
    """SMPL parameters of N people.

    Attributes:
        global_orient: (N, 3, 3).
        body_pose: (N, 23, 3, 3).
        betas: (N, 10).
        gender: (N,) index into GENDERS, or None: all neutral.
    """

    global_orient: Tensor
    body_pose: Tensor
    betas: Tensor
    gender: Tensor | None = None

    def rows(self, some: slice | Tensor) -> Bodies:
        """Some of the people."""
        gender = None if self.gender is None else self.gender[some]
        return Bodies(self.global_orient[some], self.body_pose[some], self.betas[some], gender)

    @classmethod
    def predicted(cls, prediction: Prediction) -> Bodies:
        """The neutral bodies of a prediction."""
        return cls(prediction.global_orient, prediction.body_pose, prediction.betas)

    @classmethod
    def true(cls, batch: Batch) -> Bodies:
        """The ground-truth bodies of a batch, each of its own gender."""
        return cls(batch["global_orient"], batch["body_pose"], batch["betas"], batch["gender"])


class Posed(NamedTuple):
    """Posed bodies: vertices (N, 6890, 3) and body joints (N, J, 3), metres; global rotations (N, 24, 3, 3)."""

    vertices: Tensor
    joints: Tensor
    rotations: Tensor


def lsp14(pred: Posed, true: Posed) -> dict[str, Tensor]:
    """3DPW as most papers report it (SPIN's evaluation).

    Joints of both meshes through J_regressor_h36m: 14 of its 17, relative to its pelvis. MPJPE after that alignment,
    PA-MPJPE after Procrustes on the 14, MPVPE over all vertices relative to the same pelvis; mpvpe_untranslated is
    that of meshes with zero translation and no alignment (PARE, VIBE), another number.
    """
    pred_pelvis, true_pelvis = pred.joints[:, _H36M_PELVIS], true.joints[:, _H36M_PELVIS]
    pred_joints, true_joints = pred.joints[:, _LSP14], true.joints[:, _LSP14]
    return {
        "mpjpe": mpjpe(pred_joints - pred_pelvis[:, None], true_joints - true_pelvis[:, None]),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        "mpvpe": mpvpe(pred.vertices, true.vertices, pred_pelvis, true_pelvis),
        "mpvpe_untranslated": mpvpe(pred.vertices, true.vertices),
    }


def smpl24(pred: Posed, true: Posed) -> dict[str, Tensor]:
    """The official 3DPW evaluation: the 24 SMPL joints relative to joint 0.

    PCK at 50 mm (<=) and AUC (0..199 mm) over hips, knees, ankles, shoulders, elbows and wrists; MPJAE over the global
    rotations of root, hips, knees, shoulders and elbows.
    """
    pred_joints, true_joints = (align_root(body.joints[:, _SMPL24], 0) for body in (pred, true))
    limbs = pred_joints[:, _PCK_JOINTS], true_joints[:, _PCK_JOINTS]
    return {
        "mpjpe": mpjpe(pred_joints, true_joints),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        "mpvpe": mpvpe(pred.vertices, true.vertices, pred.joints[:, 0], true.joints[:, 0]),
        "pck50": 100 * pck(*limbs, threshold_mm=50.0),
        "auc200": 100 * auc(*limbs),
        "mpjae": mpjae(pred.rotations[:, _MPJAE_JOINTS], true.rotations[:, _MPJAE_JOINTS]),
    }


PROTOCOLS: dict[str, Callable[[Posed, Posed], dict[str, Tensor]]] = {"lsp14": lsp14, "smpl24": smpl24}


def global_rotations(global_orient: Tensor, body_pose: Tensor) -> Tensor:
    """(N, 24, 3, 3) rotations of the parts in the camera frame, from those relative to their parents."""
    local = torch.cat((global_orient[:, None], body_pose), dim=1)
    chain = [local[:, 0]]
    for joint in range(1, len(SMPL_PARENTS)):
        chain.append(chain[SMPL_PARENTS[joint]] @ local[:, joint])
    return torch.stack(chain, dim=1)


class BodyScorer:
    """Poses predicted and true bodies, each with the model of its gender, and compares them.

    Args:
        body_models: folder of model files, or "standin".
        protocols: names in :data:`PROTOCOLS`.
        batch_size: people posed at once.

    Raises:
        ValueError: an unknown protocol.
    """

    def __init__(
        self, body_models: str = "standin", protocols: Sequence[str] = tuple(PROTOCOLS), batch_size: int = 64
    ) -> None:
        unknown = [name for name in protocols if name not in PROTOCOLS]
        if unknown:
            msg = f"no protocol named {', '.join(unknown)}; there are: {', '.join(PROTOCOLS)}"
            raise ValueError(msg)
        self.body_models, self.protocols, self.batch_size = body_models, list(protocols), batch_size
        self._models: dict[str, BodyModel] = {}

    def __call__(self, pred: Bodies, true: Bodies) -> dict[str, Tensor]:
        """``{"<protocol>_<metric>": (N,) float64}`` on the CPU; NaN for a person with NaN in either body.

        Both bodies are compared in the axes they are given in, without translation.
        """
        parts = []
        with torch.no_grad():
            for start in range(0, len(pred.betas), self.batch_size):
                some = slice(start, start + self.batch_size)
                bodies = [self._pose(body.rows(some)) for body in (pred, true)]
                values = {
                    f"{name}_{metric}": value.double().cpu()
                    for name in self.protocols
                    for metric, value in PROTOCOLS[name](*bodies).items()
                }
                parts.append(values)
        return {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else {})}

    def _pose(self, people: Bodies) -> Posed:
        count, device = len(people.betas), people.betas.device
        gender = people.gender if people.gender is not None else torch.zeros(count, dtype=torch.int64, device=device)
        parts, order = [], []
        for number in gender.unique().tolist():
            rows = (gender == number).nonzero()[:, 0]
            some = people.rows(rows)
            parts.append(self._model(GENDERS[number], device)(some.global_orient, some.body_pose, some.betas))
            order.append(rows)
        back = torch.cat(order).argsort()
        vertices, joints = (torch.cat(values)[back] for values in zip(*parts, strict=True))
        return Posed(vertices, joints, global_rotations(people.global_orient, people.body_pose))

    def _model(self, gender: str, device: torch.device) -> BodyModel:
        # Made when first needed, so that a set of neutral people needs no gendered files.
        if gender not in self._models:
            self._models[gender] = BodyModel(self.body_models, gender)
        return self._models[gender].to(device)
