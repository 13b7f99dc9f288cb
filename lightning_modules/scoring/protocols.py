"""Evaluation protocols: which joints, which root and which alignment turn two bodies into numbers.

The same two bodies have different errors under different protocols, so every number carries its protocol's key:
``<key>_<metric>``, e.g. ``lsp14_pa_mpjpe``. Errors are in millimetres, angles in degrees, PCK and AUC in percent.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from body_models.bodies import BodyModels
from body_models.contracts import Batch, Prediction
from body_models.joint_sets import H36M_JOINTS, HUMAN36M17, LSP14_FROM_H36M, MPI_INF_3DHP17
from body_models.parameters import BodyParameters
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
)

_LSP14 = tuple(H36M_JOINTS[row] for row in LSP14_FROM_H36M)
_LSP14_NAMES = tuple(name.removeprefix("h36m_") for name in _LSP14)
# Spine and head of MPI-INF-3DHP have no exact counterpart; public code compares them with these two.
_LIKE_3DHP = {"spine": "h36m_spine", "head": "h36m_nose"}
_3DHP17 = tuple(body or _LIKE_3DHP[name] for name, body in zip(MPI_INF_3DHP17.names, MPI_INF_3DHP17.body, strict=True))
_3DHP_PELVIS = MPI_INF_3DHP17.names.index("pelvis")


def _of_both_sides(*parts: str) -> list[int]:
    """SMPL joints of the limbs."""
    return [SMPL.index[f"{side}_{part}"] for part in parts for side in ("left", "right")]


PCK_JOINTS = _of_both_sides("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
"""SMPL joints that the official 3DPW evaluation takes PCK and AUC over."""
MPJAE_JOINTS = [0, *_of_both_sides("hip", "knee", "shoulder", "elbow")]
"""SMPL joints whose global rotations it compares."""
_TURNED_DEG = 60.0
PER_JOINT = "per_joint"


class Meshes(NamedTuple):
    """Meshes of N people without pose and shape: vertices (N, V, 3) metres, translated as unposed neutral bodies."""

    vertices: Tensor

    def select(self, some: slice | Tensor) -> Meshes:
        """Some of the people."""
        return Meshes(self.vertices[some])


def predicted(prediction: Prediction) -> BodyParameters | Meshes:
    """The neutral bodies of a prediction, or its meshes where there are no parameters."""
    if prediction.vertices is not None:
        return Meshes(prediction.vertices - prediction.transl.unsqueeze(1))
    return BodyParameters(*prediction.parameters())


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
    neutral, the true one of the person's gender; frames with campose_valid = 0 do not count. MPJPE after that
    alignment, PA-MPJPE after Procrustes (rotation, scale, translation, no reflection) on the 14, MPVPE over all
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
    pred_joints = align_root(pred.named(_3DHP17), _3DHP_PELVIS)
    true_joints = align_root(true, _3DHP_PELVIS)
    official = slice(0, _3DHP_PELVIS)
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

    @property
    def needs_joints(self) -> bool:
        """Whether the truth is joints (of the data set) instead of bodies."""
        return bool(self.truth_names)

    def joints_of(self, batch: Batch, spec: BodySpec) -> Tensor:
        """(N, K, 3) true joints of a batch of people with a kind of body; NaN where it has none."""
        index = [spec.index[name] for name in self.truth_body]
        known = batch["joints_3d_conf"][:, index, None] > 0
        return batch["joints_3d"][:, index].where(known, torch.nan)


_3DHP = {
    "dataset": "mpi_inf_3dhp",
    "score": mpi_inf_3dhp,
    "joint_names": MPI_INF_3DHP17.names[:_3DHP_PELVIS],
    "headline": "pck150",
    "body_joints": _3DHP17,
    "truth_names": MPI_INF_3DHP17.names,
    "truth_body": _3DHP17,
}
_HUMAN36M = {
    "dataset": "human36m",
    "score": human36m,
    "joint_names": _LSP14_NAMES,
    "body_joints": H36M_JOINTS,
    "truth_names": HUMAN36M17.names,
    "truth_body": H36M_JOINTS,
    # protocol=2: the reader's name for the division with subjects 9 and 11 in the test set.
    "options": {"protocol": 2, "cameras": (1, 2, 3, 4)},
}
FRONTAL_CAMERA = 4
_ALL = (
    Protocol("3dpw/lsp14", "lsp14", "threedpw", lsp14, _LSP14_NAMES, "pa_mpjpe", H36M_JOINTS, {"campose_valid": 1}),
    Protocol(
        "3dpw/smpl24", "smpl24", "threedpw", smpl24, SMPL.joints, "pa_mpjpe", SMPL.joints,
        {"campose_valid": 1, "has_poses2d": 1},
    ),
    Protocol("mpi_inf_3dhp/univ", "univ", options={"variant": "univ_annot3"}, **_3DHP),  # type: ignore[arg-type]
    Protocol("mpi_inf_3dhp/annot3", "annot3", options={"variant": "annot3"}, **_3DHP),  # type: ignore[arg-type]
    Protocol("h36m/p1", "p1", headline="mpjpe", **_HUMAN36M),  # type: ignore[arg-type]
    Protocol("h36m/p2", "p2", headline="pa_mpjpe", rows={"camera": FRONTAL_CAMERA}, **_HUMAN36M),  # type: ignore[arg-type]
    Protocol("labels/own", "own", "pseudo_gt", own, (), "pa_mpjpe"),
)  # fmt: skip
PROTOCOLS: dict[str, Protocol] = {protocol.key: protocol for protocol in _ALL}
"""Every protocol by its key."""
THREEDPW_PROTOCOLS = ("lsp14", "smpl24")


def protocol_of(column: str) -> str:
    """Key of the protocol that a column ``<key>_<metric>`` of errors belongs to.

    Raises:
        ValueError: it belongs to none.
    """
    # The longest, in case one key begins like another; keys and metrics may hold underscores.
    found = [key for key in PROTOCOLS if column == key or column.startswith(f"{key}_")]
    if not found:
        msg = f"{column} is no column <protocol>_<metric> of {', '.join(PROTOCOLS)}"
        raise ValueError(msg)
    return max(found, key=len)


def find_protocols(names: Sequence[str]) -> list[Protocol]:
    """Protocols by key (``lsp14``), by name (``3dpw/lsp14``), or all of a data set (``3dpw``), each once.

    Raises:
        ValueError: an unknown name.
    """
    found: list[Protocol] = []
    unknown = []
    for name in names:
        some = [one for one in _ALL if name in (one.key, one.name, one.name.partition("/")[0], one.dataset)]
        found += [one for one in some if one not in found]
        unknown += [] if some else [name]
    if unknown:
        msg = (
            f"no protocol named {', '.join(unknown)}; there are: {', '.join(PROTOCOLS)} "
            f"(in full {', '.join(one.name for one in _ALL)})"
        )
        raise ValueError(msg)
    return found


def definitions() -> str:
    """The definitions of all protocols as Markdown: what docs/protocols.md holds."""
    lines = [
        "# Evaluation protocols",
        "",
        "Written by `python -m experiments evaluate --list-protocols > docs/protocols.md`; a test keeps it so.",
        "Errors are in millimetres, angles in degrees, PCK and AUC in percent. Each metric's name begins with the",
        "protocol's key: `lsp14_pa_mpjpe`. One sample is one person in one frame; a sample with NaN or infinity is",
        "left out and counted; a prediction with all joints in one point becomes the mean of the truth under",
        "Procrustes. Intervals are 95 % percentile intervals of the bootstrap over sequences (in the wild: images).",
    ]
    for score in dict.fromkeys(one.score for one in _ALL):
        some = [one for one in _ALL if one.score is score]
        lines += ["", "## " + ", ".join(f"{one.name} (`{one.key}`)" for one in some), "", inspect.getdoc(score) or ""]
        for one in some:
            facts = [f"known by its {one.headline}"]
            facts += [f"annotations {one.options['variant']}"] if "variant" in one.options else []
            facts += [f"only people with {column} = {value}" for column, value in one.rows.items()]
            lines += ["", f"* `{one.name}`: {'; '.join(facts)}."]
        if some[0].joint_names:
            lines += ["", "Joints: " + ", ".join(some[0].joint_names) + "."]
    return "\n".join(lines) + "\n"


def global_rotations(local: Tensor, spec: BodySpec) -> Tensor:
    """(N, 1 + R, 3, 3) rotations of the parts in the camera frame, from those relative to their parents."""
    chain = [local[:, 0]]
    for joint in range(1, len(spec.parents)):
        chain.append(chain[spec.parents[joint]] @ local[:, joint])
    return torch.stack(chain, dim=1)


class Scores(NamedTuple):
    """What N people scored, float64 on the CPU.

    Attributes:
        values: ``{"<key>_<metric>": (N,)}``; NaN for a person that could not be compared.
        per_joint: ``{key: (N, J)}`` errors of single joints in mm, in the order of the protocol's joint_names, of the
            protocols that say them.
    """

    values: dict[str, Tensor]
    per_joint: dict[str, Tensor]


class BodyScorer:
    """Poses predicted and true bodies, each with the model of its gender, and compares them.

    Args:
        body_models: reference of the bodies, see :mod:`body_models.bodies`.
        protocols: names, as :func:`find_protocols` takes them.
        batch_size: people posed at once.

    Raises:
        ValueError: an unknown protocol, or one on joints that the bodies do not have.
    """

    def __init__(
        self, body_models: str = "standin", protocols: Sequence[str] = THREEDPW_PROTOCOLS, batch_size: int = 64
    ) -> None:
        self.protocols = find_protocols(protocols)
        self.bodies, self.batch_size = BodyModels(body_models, batch_size), batch_size
        self.spec = self.bodies.spec
        for protocol in self.protocols:
            self.spec.require(protocol.body_joints, f"the protocol {protocol.key} (own is on any body's joints)")

    def __call__(self, pred: BodyParameters, true: BodyParameters) -> dict[str, Tensor]:
        """The values of :meth:`score` for protocols that compare bodies."""
        return self.score(pred, true).values

    def score(
        self,
        pred: BodyParameters | Meshes,
        true: BodyParameters | None = None,
        joints: Mapping[str, Tensor] | None = None,
    ) -> Scores:
        """Compare, in the axes that both are given in, without translation.

        Args:
            pred: predicted bodies or meshes of N people.
            true: their true bodies, for protocols that compare bodies.
            joints: by the protocol's key the true joints (N, K, 3), metres, for protocols that compare joints.
        """
        parts: list[dict[str, Tensor]] = []
        with torch.no_grad():
            people = pred.vertices if isinstance(pred, Meshes) else pred
            for start in range(0, len(people), self.batch_size):
                some = slice(start, start + self.batch_size)
                posed = self._pose(pred.select(some))
                truth = None if true is None else self._pose(true.select(some))
                part: dict[str, Tensor] = {}
                for protocol in self.protocols:
                    if protocol.needs_joints:
                        assert joints is not None
                        scored = protocol.score(posed, joints[protocol.key][some].to(posed.joints.device))
                    else:
                        scored = protocol.score(posed, truth)
                    part |= {f"{protocol.key}_{metric}": value.double().cpu() for metric, value in scored.items()}
                parts.append(part)
        joined = {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else {})}
        keys = [protocol.key for protocol in self.protocols if f"{protocol.key}_{PER_JOINT}" in joined]
        per_joint = {key: joined.pop(f"{key}_{PER_JOINT}") for key in keys}
        return Scores(joined, per_joint)

    def _pose(self, people: BodyParameters | Meshes) -> Posed:
        if isinstance(people, Meshes):
            vertices = people.vertices.float()
            joints = self.bodies.neutral.to(vertices.device).joints_from_vertices(vertices)
            unknown = vertices.new_full((len(vertices), len(self.spec.joints), 3, 3), torch.nan)
            return Posed(self.spec, vertices, joints, unknown)
        posed = self.bodies.pose(people.without_translation())
        return Posed(self.spec, *posed, global_rotations(people.rotations, self.spec))
