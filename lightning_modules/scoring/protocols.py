"""The list of evaluation protocols, and what poses two bodies and compares them by some of them.

The same two bodies have different errors under different protocols, so every number carries its protocol's key:
``<key>_<metric>``, e.g. ``lsp14_pa_mpjpe``. Errors are in millimetres, angles in degrees, PCK and AUC in percent.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from body_models.bodies import BodyModels
from body_models.components import from_outside
from body_models.contracts import Prediction
from body_models.joint_sets import H36M_JOINTS, HUMAN36M17, MPI_INF_3DHP17
from body_models.parameters import BodyParameters
from body_models.spec import SMPL, BodySpec
from lightning_modules.scoring.protocol import (
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
    own,
    smpl24,
)


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


_3DHP = {
    "dataset": "mpi_inf_3dhp",
    "score": mpi_inf_3dhp,
    "joint_names": MPI_INF_3DHP17.names[:MPI_INF_3DHP_PELVIS],
    "headline": "pck150",
    "body_joints": MPI_INF_3DHP17_BODY,
    "truth_names": MPI_INF_3DHP17.names,
    "truth_body": MPI_INF_3DHP17_BODY,
}
_HUMAN36M = {
    "dataset": "human36m",
    "score": human36m,
    "joint_names": LSP14_NAMES,
    "body_joints": H36M_JOINTS,
    "truth_names": HUMAN36M17.names,
    "truth_body": H36M_JOINTS,
    # protocol=2: the reader's name for the division with subjects 9 and 11 in the test set.
    "options": {"protocol": 2, "cameras": (1, 2, 3, 4)},
}
_LSP14: dict[str, Any] = {"joint_names": LSP14_NAMES, "body_joints": H36M_JOINTS}
_SMPL24: dict[str, Any] = {"joint_names": SMPL.joints, "body_joints": SMPL.joints}
_3DPW: dict[str, Any] = {"dataset": "threedpw", "headline": "pa_mpjpe", "rows": {"campose_valid": 1}}
_3DPW_NEUTRAL = {**_3DPW, **_LSP14, "neutral_truth": True, "on_request": True}
_EMDB: dict[str, Any] = {"dataset": "emdb", "score": emdb24, "headline": "pa_mpjpe", **_SMPL24}
FRONTAL_CAMERA = 4
_OWN = (
    Protocol("3dpw/lsp14", "lsp14", score=lsp14, **_3DPW, **_LSP14),
    Protocol("3dpw/smpl24", "smpl24", score=smpl24, **_SMPL24, **_3DPW | {
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
    Protocol("labels/own", "own", "pseudo_gt", own, (), "pa_mpjpe"),
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
        self, body_models: str = "free", protocols: Sequence[str] = BODY_PROTOCOLS, batch_size: int = 64
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
                truths = self._truths(None if true is None else true.select(some))
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
        keys = [protocol.key for protocol in self.protocols if f"{protocol.key}_{PER_JOINT}" in joined]
        per_joint = {key: joined.pop(f"{key}_{PER_JOINT}") for key in keys}
        return Scores(joined, per_joint)

    def _truths(self, true: BodyParameters | None) -> dict[bool, Posed]:
        """The true bodies as the protocols take them: each of its own gender (False), or all neutral (True)."""
        kinds = {one.neutral_truth for one in self.protocols if not one.needs_joints}
        if true is None:
            return {}
        return {neutral: self._pose(replace(true, gender=None) if neutral else true) for neutral in kinds}

    def _regressed(self, body: Posed) -> Posed:
        """The same mesh with the joints that the neutral model's regressors give for it."""
        return body._replace(joints=self._joints_from(body.vertices))

    def _joints_from(self, vertices: Tensor) -> Tensor:
        return self.bodies.neutral.to(vertices.device).joints_from_vertices(vertices)

    def _pose(self, people: BodyParameters | Meshes) -> Posed:
        if isinstance(people, Meshes):
            vertices = people.vertices.float()
            joints = self._joints_from(vertices)
            unknown = vertices.new_full((len(vertices), len(self.spec.joints), 3, 3), torch.nan)
            return Posed(self.spec, vertices, joints, unknown)
        posed = self.bodies.pose(people.without_translation())
        return Posed(self.spec, *posed, global_rotations(people.rotations, self.spec))
