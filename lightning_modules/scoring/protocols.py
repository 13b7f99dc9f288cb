"""The list of evaluation protocols, and what poses two bodies and compares them by some of them.

The same two bodies have different errors under different protocols, so every number carries its protocol's key:
``<key>_<metric>``, e.g. ``lsp14_pa_mpjpe``. Errors are in millimetres, angles in degrees, PCK and AUC in percent.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from body_models.components import from_outside
from body_models.contracts import GENDERS, Batch, Prediction
from body_models.joint_sets import HUMAN36M17, MPI_INF_3DHP17, SMPL_JOINTS, SMPL_PARENTS
from body_models.smpl import BodyModel
from lightning_modules.scoring.protocol import (
    H36M17_BODY,
    LSP14_NAMES,
    MPI_INF_3DHP17_BODY,
    MPI_INF_3DHP_PELVIS,
    PER_JOINT,
    Posed,
    Protocol,
    emdb24,
    human36m,
    lsp14,
    metro14,
    mpi_inf_3dhp,
    smpl24,
)


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


_3DHP = {
    "dataset": "mpi_inf_3dhp",
    "score": mpi_inf_3dhp,
    "joint_names": MPI_INF_3DHP17.names[:MPI_INF_3DHP_PELVIS],
    "headline": "pck150",
    "truth_names": MPI_INF_3DHP17.names,
    "truth_body": tuple(MPI_INF_3DHP17_BODY),
}
_HUMAN36M = {
    "dataset": "human36m",
    "score": human36m,
    "joint_names": LSP14_NAMES,
    "truth_names": HUMAN36M17.names,
    "truth_body": tuple(H36M17_BODY),
    # protocol=2: the reader's name for the division with subjects 9 and 11 in the test set.
    "options": {"protocol": 2, "cameras": (1, 2, 3, 4)},
}
_3DPW: dict[str, Any] = {"dataset": "threedpw", "headline": "pa_mpjpe", "rows": {"campose_valid": 1}}
_3DPW_NEUTRAL = {**_3DPW, "joint_names": LSP14_NAMES, "neutral_truth": True, "on_request": True}
_EMDB: dict[str, Any] = {"dataset": "emdb", "score": emdb24, "joint_names": SMPL_JOINTS, "headline": "pa_mpjpe"}
FRONTAL_CAMERA = 4
_OWN = (
    Protocol("3dpw/lsp14", "lsp14", score=lsp14, joint_names=LSP14_NAMES, **_3DPW),
    Protocol("3dpw/smpl24", "smpl24", score=smpl24, joint_names=SMPL_JOINTS, **_3DPW | {
        "rows": {"campose_valid": 1, "has_poses2d": 1}
    }),
    Protocol("3dpw/lsp14neutral", "lsp14neutral", score=lsp14, **_3DPW_NEUTRAL),
    Protocol("3dpw/metro14", "metro14", score=metro14, **_3DPW_NEUTRAL),
    Protocol("emdb/emdb24-official", "emdb24", **_EMDB),
    Protocol("emdb/emdb24-neutralJ", "emdb24neutralJ", regressed=True, **_EMDB),
    Protocol("mpi_inf_3dhp/univ", "univ", options={"variant": "univ_annot3"}, **_3DHP),  # type: ignore[arg-type]
    Protocol("mpi_inf_3dhp/annot3", "annot3", options={"variant": "annot3"}, **_3DHP),  # type: ignore[arg-type]
    Protocol("h36m/p1", "p1", headline="mpjpe", **_HUMAN36M),  # type: ignore[arg-type]
    Protocol("h36m/p2", "p2", headline="pa_mpjpe", rows={"camera": FRONTAL_CAMERA}, **_HUMAN36M),  # type: ignore[arg-type]
)  # fmt: skip
PROTOCOLS: dict[str, Protocol] = {one.key: one for one in (*_OWN, *from_outside("protocols", Protocol).values())}
"""Every protocol by its key."""
BODY_PROTOCOLS = ("lsp14", "smpl24")
"""What bodies are compared by where nothing else is said, of whatever people they are."""


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
        some = [one for one in PROTOCOLS.values() if name in (one.key, one.name) or name in _sets(one)]
        found += [one for one in some if one not in found]
        unknown += [] if some else [name]
    if unknown:
        msg = (
            f"no protocol named {', '.join(unknown)}; there are: {', '.join(PROTOCOLS)} "
            f"(in full {', '.join(one.name for one in PROTOCOLS.values())})"
        )
        raise ValueError(msg)
    return found


def _sets(protocol: Protocol) -> tuple[str, ...]:
    """Names of data sets that a protocol is found by."""
    return () if protocol.on_request else (protocol.name.partition("/")[0], protocol.dataset)


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
    for score in dict.fromkeys(one.score for one in _OWN):
        some = [one for one in _OWN if one.score is score]
        lines += ["", "## " + ", ".join(f"{one.name} (`{one.key}`)" for one in some), "", inspect.getdoc(score) or ""]
        for one in some:
            facts = [f"known by its {one.headline}"]
            facts += [f"annotations {one.options['variant']}"] if "variant" in one.options else []
            facts += [f"only people with {column} = {value}" for column, value in one.rows.items()]
            facts += ["true bodies are neutral"] if one.neutral_truth else []
            facts += ["joints of both meshes by the neutral model's regressor"] if one.regressed else []
            facts += ["computed where it is asked for by name"] if one.on_request else []
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
        body_models: folder of model files, or "standin".
        protocols: names, as :func:`find_protocols` takes them.
        batch_size: people posed at once.

    Raises:
        ValueError: an unknown protocol.
    """

    def __init__(
        self, body_models: str = "standin", protocols: Sequence[str] = BODY_PROTOCOLS, batch_size: int = 64
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
                truths = self._truths(None if true is None else true.rows(some))
                part: dict[str, Tensor] = {}
                for protocol in self.protocols:
                    if protocol.needs_joints:
                        assert joints is not None
                        scored = protocol.score(posed, joints[protocol.key][some].to(posed.joints.device))
                    else:
                        truth = truths[protocol.neutral_truth]
                        sides = (
                            (self._regressed(posed), self._regressed(truth)) if protocol.regressed else (posed, truth)
                        )
                        scored = protocol.score(*sides)
                    part |= {f"{protocol.key}_{metric}": value.double().cpu() for metric, value in scored.items()}
                parts.append(part)
        joined = {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else {})}
        per_joint = {protocol.key: joined.pop(f"{protocol.key}_{PER_JOINT}") for protocol in self.protocols if joined}
        return Scores(joined, per_joint)

    def _truths(self, true: Bodies | None) -> dict[bool, Posed]:
        """The true bodies as the protocols take them: each of its own gender (False), or all neutral (True)."""
        kinds = {one.neutral_truth for one in self.protocols if not one.needs_joints}
        if true is None:
            return {}
        return {neutral: self._pose(true._replace(gender=None) if neutral else true) for neutral in kinds}

    def _regressed(self, body: Posed) -> Posed:
        """The same mesh with the joints that the neutral model's regressors give for it."""
        joints = self._model(GENDERS[0], body.vertices.device).joints_from_vertices(body.vertices)
        return body._replace(joints=joints)

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
