"""What a protocol is, and the definitions of those of the field: which joints, which root and which alignment.

This module knows no list of protocols, so that packages outside of this project can make theirs from it; the list is
``protocols.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from body_models.contracts import Batch
from body_models.joint_sets import H36M_JOINTS, LSP14_FROM_H36M, MPI_INF_3DHP17
from body_models.spec import SMPL, BodySpec
from lightning_modules.scoring.metrics import (
    AUC_3DHP,
    align_root,
    auc,
    depth_error,
    joint_errors,
    mpjae,
    mpjpe,
    mpvpe,
    pa_mpjpe,
    pck,
    similarity_align,
    similarity_rotation,
)

_LSP14 = tuple(H36M_JOINTS[row] for row in LSP14_FROM_H36M)
LSP14_NAMES = tuple(name.removeprefix("h36m_") for name in _LSP14)
# Spine and head of MPI-INF-3DHP have no exact counterpart; public code compares them with these two.
_LIKE_3DHP = {"spine": "h36m_spine", "head": "h36m_nose"}
MPI_INF_3DHP17_BODY = tuple(
    body or _LIKE_3DHP[name] for name, body in zip(MPI_INF_3DHP17.names, MPI_INF_3DHP17.body, strict=True)
)
MPI_INF_3DHP_PELVIS = MPI_INF_3DHP17.names.index("pelvis")


def _of_both_sides(*parts: str) -> list[int]:
    """SMPL joints of the limbs."""
    return [SMPL.index[f"{side}_{part}"] for part in parts for side in ("left", "right")]


PCK_JOINTS = _of_both_sides("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
"""SMPL joints that the official 3DPW evaluation takes PCK and AUC over."""
MPJAE_JOINTS = [0, *_of_both_sides("hip", "knee", "shoulder", "elbow")]
"""SMPL joints whose global rotations it compares."""
_LSP14_HIPS = [LSP14_NAMES.index(f"{side}_hip") for side in ("left", "right")]
_SMPL_HIPS = _of_both_sides("hip")
_TURNED_DEG = 60.0
PER_JOINT = "per_joint"


class Posed(NamedTuple):
    """Posed bodies: vertices (N, V, 3) and body joints (N, J, 3), metres; global rotations (N, 1 + R, 3, 3).

    Rotations of meshes without parameters are NaN, so what is made of them counts as unknown.
    """

    spec: BodySpec
    vertices: Tensor
    joints: Tensor
    rotations: Tensor

    def named(self, names: Sequence[str]) -> Tensor:
        """(N, K, 3) body joints of these names."""
        return self.joints[:, [self.spec.index[name] for name in names]]


def lsp14(pred: Posed, true: Posed) -> dict[str, Tensor]:
    """3DPW as most papers report it (SPIN's evaluation).

    Joints of both meshes through J_regressor_h36m: 14 of its 17, relative to its pelvis. The predicted mesh is
    neutral, the true one of the person's gender; in lsp14neutral, as VIBE and HybrIK take it, neutral with the same
    parameters. Frames with campose_valid = 0 do not count. MPJPE after that alignment,
    PA-MPJPE after Procrustes (rotation, scale, translation, no reflection) on the 14, MPVPE over all
    vertices relative to the same pelvis; mpvpe_untranslated is that of meshes with zero translation and no alignment
    (PARE, VIBE), another number; PA-MPVPE after Procrustes on the vertices themselves.
    """
    pelvis = H36M_JOINTS[0]
    pred_joints, true_joints = (body.named([pelvis, *_LSP14]) for body in (pred, true))
    pred_pelvis, true_pelvis = pred_joints[:, 0], true_joints[:, 0]
    pred_joints, true_joints = align_root(pred_joints, 0)[:, 1:], align_root(true_joints, 0)[:, 1:]
    return {
        "mpjpe": mpjpe(pred_joints, true_joints),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        "mpvpe": mpvpe(pred.vertices, true.vertices, pred_pelvis, true_pelvis),
        "mpvpe_untranslated": mpvpe(pred.vertices, true.vertices),
        "pa_mpvpe": pa_mpjpe(pred.vertices, true.vertices),
        PER_JOINT: joint_errors(pred_joints, true_joints),
    }


def metro14(pred: Posed, true: Posed) -> dict[str, Tensor]:
    """3DPW as METRO, Mesh Graphormer and their descendants report it.

    The 14 joints of lsp14, but MPJPE after both bodies were moved to the midpoint of their hips, and the true mesh is
    the neutral one with the person's parameters. MPVPE over all vertices relative to the regressed pelvis of Human3.6M;
    PA-MPJPE after Procrustes on the 14.
    """
    pred_joints, true_joints = (body.named(_LSP14) for body in (pred, true))
    pred_pelvis, true_pelvis = (body.named(H36M_JOINTS[:1])[:, 0] for body in (pred, true))
    pred_moved, true_moved = align_root(pred_joints, _LSP14_HIPS), align_root(true_joints, _LSP14_HIPS)
    return {
        "mpjpe": mpjpe(pred_moved, true_moved),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        "mpvpe": mpvpe(pred.vertices, true.vertices, pred_pelvis, true_pelvis),
        PER_JOINT: joint_errors(pred_moved, true_moved),
    }


def emdb24(pred: Posed, true: Posed) -> dict[str, Tensor]:
    """EMDB 1 by the official evaluation of EMDB: the 24 SMPL joints of the frames that are marked as good, pooled.

    Joints and vertices are taken relative to the midpoint of the two hips. PA-MPJPE after Procrustes (no reflection) on
    the 24 joints; PA-MPVPE moves the vertices by the same map, and not by one of their own. MPJAE over the global
    rotations of root, hips, knees, shoulders and elbows, mpjae_pa after turning them by that map. The true body is of
    the file's gender, the predicted one neutral. emdb24neutralJ takes the 24 joints of both meshes through the neutral
    model's joint regressor, as code bases that read repacked files do. Jitter is a number of videos, and is left out.
    """
    pred_joints, true_joints = (body.named(SMPL.joints) for body in (pred, true))
    pred_moved, true_moved = align_root(pred_joints, _SMPL_HIPS), align_root(true_joints, _SMPL_HIPS)
    pred_hips, true_hips = (joints[:, _SMPL_HIPS].double().mean(dim=1) for joints in (pred_joints, true_joints))
    vertices = similarity_align(pred_joints, true_joints, pred.vertices)
    rotations = pred.rotations[:, MPJAE_JOINTS].double()
    turned = similarity_rotation(pred_joints, true_joints)[:, None] @ rotations
    return {
        "mpjpe": mpjpe(pred_moved, true_moved),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        "mpvpe": mpvpe(pred.vertices, true.vertices, pred_hips, true_hips),
        "pa_mpvpe": mpvpe(vertices, true.vertices),
        "mpjae": mpjae(rotations, true.rotations[:, MPJAE_JOINTS]),
        "mpjae_pa": mpjae(turned, true.rotations[:, MPJAE_JOINTS]),
        PER_JOINT: joint_errors(pred_moved, true_moved),
    }


def smpl24(pred: Posed, true: Posed) -> dict[str, Tensor]:
    """The official 3DPW evaluation: the 24 SMPL joints relative to joint 0.

    The predicted body is neutral, the true one of the person's gender; frames with campose_valid = 0, and those whose
    poses2d are all zero, do not count. PCK at 50 mm (<=) and AUC (<=, trapezoid over 0..199 mm) over hips, knees,
    ankles, shoulders, elbows and wrists; MPJAE over the global rotations of root, hips, knees, shoulders and elbows.
    The official script pools train, validation and test: that is split "all"; by itself "test" is meant.

    Not of the official script: depth, the part of MPJPE along the camera's axis, and turned, the percentage of people
    whose root is turned by more than 60 degrees, as where front is taken for back. Both say what 2D joints leave open.
    """
    pred_joints, true_joints = (align_root(body.named(SMPL.joints), 0) for body in (pred, true))
    limbs = pred_joints[:, PCK_JOINTS], true_joints[:, PCK_JOINTS]
    root_angle = mpjae(pred.rotations[:, :1], true.rotations[:, :1])
    return {
        "mpjpe": mpjpe(pred_joints, true_joints),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        "mpvpe": mpvpe(pred.vertices, true.vertices, pred.joints[:, 0], true.joints[:, 0]),
        "pa_mpvpe": pa_mpjpe(pred.vertices, true.vertices),
        "pck50": 100 * pck(*limbs, threshold_mm=50.0),
        "auc200": 100 * auc(*limbs),
        "mpjae": mpjae(pred.rotations[:, MPJAE_JOINTS], true.rotations[:, MPJAE_JOINTS]),
        "depth": depth_error(pred_joints, true_joints),
        "turned": (100.0 * (root_angle > _TURNED_DEG)).where(root_angle.isfinite(), torch.nan),
        PER_JOINT: joint_errors(pred_joints, true_joints),
    }


def mpi_inf_3dhp(pred: Posed, true: Tensor) -> dict[str, Tensor]:
    """The test set of MPI-INF-3DHP, as its own scripts evaluate it: valid frames of TS1 to TS6.

    Joints of the predicted mesh through J_regressor_h36m in the order of the test set, relative to its pelvis; true
    joints relative to theirs. PCK at 150 mm (<) and AUC (<, plain mean over 0:5:150 mm: a perfect prediction has
    96.77 %), MPJPE and PA-MPJPE over 14 joints: pelvis, spine and head are left out. mpjpe17 and pa_mpjpe17 are those
    of public code since SPIN: all 17 joints, with the regressor's spine and nose for spine and head; they need the
    data set's joints, not those of a training batch. No rescaling of the prediction. Results on univ_annot3 and on
    annot3 differ much, so each has a name.
    """
    pred_joints = align_root(pred.named(MPI_INF_3DHP17_BODY), MPI_INF_3DHP_PELVIS)
    true_joints = align_root(true, MPI_INF_3DHP_PELVIS)
    official = slice(0, MPI_INF_3DHP_PELVIS)
    fourteen = pred_joints[:, official], true_joints[:, official]
    return {
        "mpjpe": mpjpe(*fourteen),
        "pa_mpjpe": pa_mpjpe(*fourteen),
        "pck150": 100 * pck(*fourteen, threshold_mm=150.0, strict=True),
        "auc150": 100 * auc(*fourteen, thresholds_mm=AUC_3DHP, strict=True),
        "mpjpe17": mpjpe(pred_joints, true_joints),
        "pa_mpjpe17": pa_mpjpe(pred_joints, true_joints),
        PER_JOINT: joint_errors(*fourteen),
    }


def human36m(pred: Posed, true: Tensor) -> dict[str, Tensor]:
    """Human3.6M, subjects 9 and 11: 14 joints relative to the pelvis.

    Joints of the predicted mesh through J_regressor_h36m, whose 17 joints are the data set's own; the 14 are those of
    lsp14. Protocol 1 takes all cameras, and its number is the MPJPE after alignment of the pelvis; protocol 2 takes
    the frontal camera (the fourth, 60457274), and its number is the PA-MPJPE. Both numbers are given for both. One
    frame in 64 counts, as in the public code of the json layout; --frame-step takes others.
    """
    rows = [0, *LSP14_FROM_H36M]
    pred_joints = align_root(pred.named(H36M_JOINTS)[:, rows], 0)[:, 1:]
    true_joints = align_root(true[:, rows], 0)[:, 1:]
    return {
        "mpjpe": mpjpe(pred_joints, true_joints),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        PER_JOINT: joint_errors(pred_joints, true_joints),
    }


def own(pred: Posed, true: Posed) -> dict[str, Tensor]:
    """Bodies of any one kind, as labels are compared with true bodies: their own joints relative to the root.

    Each body is of its person's gender. MPJPE after that alignment, PA-MPJPE after Procrustes on these joints, MPVPE
    over all vertices relative to the root, PA-MPVPE after Procrustes on the vertices; MPJAE over the global rotations
    of all joints. There is no published number to compare with: it is for bodies that no benchmark knows.
    """
    count = len(pred.spec.joints)
    pred_joints, true_joints = (align_root(body.joints[:, :count], 0) for body in (pred, true))
    return {
        "mpjpe": mpjpe(pred_joints, true_joints),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        "mpvpe": mpvpe(pred.vertices, true.vertices, pred.joints[:, 0], true.joints[:, 0]),
        "pa_mpvpe": pa_mpjpe(pred.vertices, true.vertices),
        "mpjae": mpjae(pred.rotations, true.rotations),
    }


@dataclass(frozen=True)
class Protocol:
    """How predictions on one data set become numbers.

    Attributes:
        name: in commands and tables, e.g. ``3dpw/lsp14``.
        key: beginning of its metrics' names; also accepted where a name is asked for.
        dataset: kind of the source that it is made for.
        score: its definition (see its docstring): two posed bodies, or a posed body and true joints, to
            ``{metric: (N,)}`` and the errors of single joints in mm, ``{"per_joint": (N, J)}``.
        joint_names: of those single joints; empty: it says none.
        headline: the metric that it is known by.
        body_joints: that the body must have.
        rows: columns of the source's table, each with the value of the people that count.
        truth_names: names of true joints (N, K, 3) in the order that ``score`` takes; empty: it takes true bodies.
        truth_body: name of the body joint of each.
        options: of the source's reader: the variant of the annotations, the cameras.
        neutral_truth: the true body is the neutral one with the person's parameters, not that of the person's gender.
        regressed: the 24 SMPL joints of both meshes are those of the neutral model's joint regressor.
        on_request: asked for by its own name only, not by that of its data set.
    """

    name: str
    key: str
    dataset: str
    score: Callable[..., dict[str, Tensor]]
    joint_names: tuple[str, ...]
    headline: str
    body_joints: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    truth_names: tuple[str, ...] = ()
    truth_body: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    neutral_truth: bool = False
    regressed: bool = False
    on_request: bool = False

    @property
    def needs_joints(self) -> bool:
        """Whether the truth is joints (of the data set) instead of bodies."""
        return bool(self.truth_names)

    def joints_of(self, batch: Batch, spec: BodySpec) -> Tensor:
        """(N, K, 3) true joints of a batch of people with a kind of body; NaN where it has none."""
        index = [spec.index[name] for name in self.truth_body]
        known = batch["joints_3d_conf"][:, index, None] > 0
        return batch["joints_3d"][:, index].where(known, torch.nan)
