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

from body_models.contracts import GENDERS, Batch, Prediction
from body_models.joint_sets import (
    BODY_JOINT_INDEX,
    H36M_JOINTS,
    HUMAN36M17,
    LSP14_FROM_H36M,
    MPI_INF_3DHP17,
    SMPL_JOINTS,
    SMPL_PARENTS,
)
from body_models.smpl import BodyModel
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

_SMPL24 = [BODY_JOINT_INDEX[name] for name in SMPL_JOINTS]
_H36M17 = [BODY_JOINT_INDEX[name] for name in H36M_JOINTS]
_H36M_PELVIS = _H36M17[0]
_LSP14 = [_H36M17[row] for row in LSP14_FROM_H36M]
_LSP14_NAMES = tuple(H36M_JOINTS[row].removeprefix("h36m_") for row in LSP14_FROM_H36M)
# Spine and head of MPI-INF-3DHP have no exact counterpart; public code compares them with these two.
_LIKE_3DHP = {"spine": "h36m_spine", "head": "h36m_nose"}
_3DHP17 = [
    BODY_JOINT_INDEX[body or _LIKE_3DHP[name]]
    for name, body in zip(MPI_INF_3DHP17.names, MPI_INF_3DHP17.body, strict=True)
]
_3DHP_PELVIS = MPI_INF_3DHP17.names.index("pelvis")
_PCK_JOINTS = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
_MPJAE_JOINTS = [0, 1, 2, 4, 5, 16, 17, 18, 19]
_TURNED_DEG = 60.0
PER_JOINT = "per_joint"


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
    def true(cls, batch: Batch) -> Bodies:
        """The ground-truth bodies of a batch, each of its own gender."""
        return cls(batch["global_orient"], batch["body_pose"], batch["betas"], batch["gender"])


class Meshes(NamedTuple):
    """Meshes of N people without pose and shape: vertices (N, 6890, 3) metres, translated as unposed neutral bodies."""

    vertices: Tensor

    def rows(self, some: slice | Tensor) -> Meshes:
        """Some of the people."""
        return Meshes(self.vertices[some])


def predicted(prediction: Prediction) -> Bodies | Meshes:
    """The neutral bodies of a prediction, or its meshes where there are no parameters."""
    if prediction.vertices is not None:
        return Meshes(prediction.vertices - prediction.transl.unsqueeze(1))
    return Bodies(*prediction.parameters())


class Posed(NamedTuple):
    """Posed bodies: vertices (N, 6890, 3) and body joints (N, J, 3), metres; global rotations (N, 24, 3, 3).

    Rotations of meshes without parameters are NaN, so what is made of them counts as unknown.
    """

    vertices: Tensor
    joints: Tensor
    rotations: Tensor


def lsp14(pred: Posed, true: Posed) -> dict[str, Tensor]:
    """3DPW as most papers report it (SPIN's evaluation).

    Joints of both meshes through J_regressor_h36m: 14 of its 17, relative to its pelvis. The predicted mesh is
    neutral, the true one of the person's gender; frames with campose_valid = 0 do not count. MPJPE after that
    alignment, PA-MPJPE after Procrustes (rotation, scale, translation, no reflection) on the 14, MPVPE over all
    vertices relative to the same pelvis; mpvpe_untranslated is that of meshes with zero translation and no alignment
    (PARE, VIBE), another number; PA-MPVPE after Procrustes on the vertices themselves.
    """
    pred_pelvis, true_pelvis = pred.joints[:, _H36M_PELVIS], true.joints[:, _H36M_PELVIS]
    pred_joints, true_joints = (body.joints[:, [_H36M_PELVIS, *_LSP14]] for body in (pred, true))
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
    pred_joints, true_joints = (align_root(body.joints[:, _SMPL24], 0) for body in (pred, true))
    limbs = pred_joints[:, _PCK_JOINTS], true_joints[:, _PCK_JOINTS]
    root_angle = mpjae(pred.rotations[:, :1], true.rotations[:, :1])
    return {
        "mpjpe": mpjpe(pred_joints, true_joints),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        "mpvpe": mpvpe(pred.vertices, true.vertices, pred.joints[:, 0], true.joints[:, 0]),
        "pa_mpvpe": pa_mpjpe(pred.vertices, true.vertices),
        "pck50": 100 * pck(*limbs, threshold_mm=50.0),
        "auc200": 100 * auc(*limbs),
        "mpjae": mpjae(pred.rotations[:, _MPJAE_JOINTS], true.rotations[:, _MPJAE_JOINTS]),
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
    pred_joints = align_root(pred.joints[:, _3DHP17], _3DHP_PELVIS)
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
    pred_joints = align_root(pred.joints[:, _H36M17][:, rows], 0)[:, 1:]
    true_joints = align_root(true[:, rows], 0)[:, 1:]
    return {
        "mpjpe": mpjpe(pred_joints, true_joints),
        "pa_mpjpe": pa_mpjpe(pred_joints, true_joints),
        PER_JOINT: joint_errors(pred_joints, true_joints),
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
        joint_names: of those single joints.
        headline: the metric that it is known by.
        rows: columns of the source's table, each with the value of the people that count.
        truth_names: names of true joints (N, K, 3) in the order that ``score`` takes; empty: it takes true bodies.
        truth_body: the body joint of each.
        options: of the source's reader: the variant of the annotations, the cameras.
    """

    name: str
    key: str
    dataset: str
    score: Callable[..., dict[str, Tensor]]
    joint_names: tuple[str, ...]
    headline: str
    rows: Mapping[str, int] = field(default_factory=dict)
    truth_names: tuple[str, ...] = ()
    truth_body: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_joints(self) -> bool:
        """Whether the truth is joints (of the data set) instead of bodies."""
        return bool(self.truth_names)

    def joints_of(self, batch: Batch) -> Tensor:
        """(N, K, 3) true joints of a batch; NaN where it has none."""
        index = list(self.truth_body)
        known = batch["joints_3d_conf"][:, index, None] > 0
        return batch["joints_3d"][:, index].where(known, torch.nan)


_3DHP = {
    "dataset": "mpi_inf_3dhp",
    "score": mpi_inf_3dhp,
    "joint_names": MPI_INF_3DHP17.names[:_3DHP_PELVIS],
    "headline": "pck150",
    "truth_names": MPI_INF_3DHP17.names,
    "truth_body": tuple(_3DHP17),
}
_HUMAN36M = {
    "dataset": "human36m",
    "score": human36m,
    "joint_names": _LSP14_NAMES,
    "truth_names": HUMAN36M17.names,
    "truth_body": tuple(_H36M17),
    # protocol=2: the reader's name for the division with subjects 9 and 11 in the test set.
    "options": {"protocol": 2, "cameras": (1, 2, 3, 4)},
}
FRONTAL_CAMERA = 4
_ALL = (
    Protocol("3dpw/lsp14", "lsp14", "threedpw", lsp14, _LSP14_NAMES, "pa_mpjpe", {"campose_valid": 1}),
    Protocol(
        "3dpw/smpl24", "smpl24", "threedpw", smpl24, SMPL_JOINTS, "pa_mpjpe", {"campose_valid": 1, "has_poses2d": 1}
    ),
    Protocol("mpi_inf_3dhp/univ", "univ", options={"variant": "univ_annot3"}, **_3DHP),  # type: ignore[arg-type]
    Protocol("mpi_inf_3dhp/annot3", "annot3", options={"variant": "annot3"}, **_3DHP),  # type: ignore[arg-type]
    Protocol("h36m/p1", "p1", headline="mpjpe", **_HUMAN36M),  # type: ignore[arg-type]
    Protocol("h36m/p2", "p2", headline="pa_mpjpe", rows={"camera": FRONTAL_CAMERA}, **_HUMAN36M),  # type: ignore[arg-type]
)
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
        lines += ["", "Joints: " + ", ".join(some[0].joint_names) + "."]
    return "\n".join(lines) + "\n"


def global_rotations(global_orient: Tensor, body_pose: Tensor) -> Tensor:
    """(N, 24, 3, 3) rotations of the parts in the camera frame, from those relative to their parents."""
    local = torch.cat((global_orient[:, None], body_pose), dim=1)
    chain = [local[:, 0]]
    for joint in range(1, len(SMPL_PARENTS)):
        chain.append(chain[SMPL_PARENTS[joint]] @ local[:, joint])
    return torch.stack(chain, dim=1)


class Scores(NamedTuple):
    """What N people scored, float64 on the CPU.

    Attributes:
        values: ``{"<key>_<metric>": (N,)}``; NaN for a person that could not be compared.
        per_joint: ``{key: (N, J)}`` errors of single joints in mm, in the order of the protocol's joint_names.
    """

    values: dict[str, Tensor]
    per_joint: dict[str, Tensor]


class BodyScorer:
    """Poses predicted and true bodies, each with the model of its gender, and compares them.

    Args:
        body_models: folder of model files, or "free".
        protocols: names, as :func:`find_protocols` takes them.
        batch_size: people posed at once.

    Raises:
        ValueError: an unknown protocol.
    """

    def __init__(
        self, body_models: str = "free", protocols: Sequence[str] = THREEDPW_PROTOCOLS, batch_size: int = 64
    ) -> None:
        self.protocols = find_protocols(protocols)
        self.body_models, self.batch_size = body_models, batch_size
        self._models: dict[str, BodyModel] = {}

    def __call__(self, pred: Bodies, true: Bodies) -> dict[str, Tensor]:
        """The values of :meth:`score` for protocols that compare bodies."""
        return self.score(pred, true).values

    def score(
        self, pred: Bodies | Meshes, true: Bodies | None = None, joints: Mapping[str, Tensor] | None = None
    ) -> Scores:
        """Compare, in the axes that both are given in, without translation.

        Args:
            pred: predicted bodies or meshes of N people.
            true: their true bodies, for protocols that compare bodies.
            joints: by the protocol's key the true joints (N, K, 3), metres, for protocols that compare joints.
        """
        parts: list[dict[str, Tensor]] = []
        with torch.no_grad():
            for start in range(0, len(pred[0]), self.batch_size):
                some = slice(start, start + self.batch_size)
                posed = self._pose(pred.rows(some))
                truth = None if true is None else self._pose(true.rows(some))
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
        per_joint = {protocol.key: joined.pop(f"{protocol.key}_{PER_JOINT}") for protocol in self.protocols if joined}
        return Scores(joined, per_joint)

    def _pose(self, people: Bodies | Meshes) -> Posed:
        if isinstance(people, Meshes):
            vertices = people.vertices.float()
            joints = self._model(GENDERS[0], vertices.device).joints_from_vertices(vertices)
            return Posed(vertices, joints, torch.full((len(vertices), len(SMPL_JOINTS), 3, 3), torch.nan).to(vertices))
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
