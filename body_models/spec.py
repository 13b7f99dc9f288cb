"""What a body is, in names and numbers: everything that code about bodies has to know, but how they are posed.

A body has joints that are turned (each with a parent, the root first), a shape of so many numbers, and a mesh. Besides
its own joints it has *landmarks*, which are single vertices, and *regressed joints*, which are weighted sums of
vertices. All of them together are its body joints: the joints of a batch. A data set's joint is one of them by name,
or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import (
    EXTRA_JOINTS,
    H36M_JOINTS,
    SMPL_JOINTS,
    SMPL_PARENTS,
    VERTEX_JOINTS,
    JointSet,
    mirror_permutation,
)

ROOT_PART, BODY_PART = "root", "body"
ROOT = 0
"""Row of the root among a body's joints."""
RECORDED_JOINTS = tuple(name for name in SMPL_JOINTS[1:] if not name.endswith("_hand"))
"""SMPL joints, the root left out, that pose sequences and priors know: the first 21; nothing is known of the hands."""


@dataclass(frozen=True)
class BodySpec:
    """A kind of body.

    Attributes:
        kind: its name.
        joints: names of the joints that are turned, parents before their children, the root first.
        parents: of each joint the place of its parent; -1 for the root.
        parts: of each joint's rotation the part of the body that it belongs to: "root" or "body".
        mirror: of each joint the place of its mirror image.
        shape_size: numbers of the shape.
        num_vertices: of the mesh.
        landmarks: name -> vertex of each joint that is a vertex.
        regressors: name of each joint regressor -> names of its joints, row by row.
    """

    kind: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    parts: tuple[str, ...]
    mirror: tuple[int, ...]
    shape_size: int
    num_vertices: int
    landmarks: Mapping[str, int] = field(default_factory=dict, hash=False)
    regressors: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        sizes = {len(self.joints), len(self.parents), len(self.parts), len(self.mirror)}
        if len(sizes) != 1:
            msg = f"body {self.kind}: joints, parents, parts and mirror have {sorted(sizes)} entries, not as many each"
            raise ValueError(msg)
        if any(parent >= place for place, parent in enumerate(self.parents)) or self.parents.count(-1) != 1:
            msg = f"body {self.kind}: parents come before their children, and the root alone has the parent -1"
            raise ValueError(msg)
        if len(self.index) != len(self.body_joints):
            twice = sorted({name for name in self.body_joints if self.body_joints.count(name) > 1})
            msg = f"body {self.kind}: joints named twice: {', '.join(twice)}"
            raise ValueError(msg)

    @property
    def num_rotations(self) -> int:
        """R, the rotations of ``body_pose``: all but the root's."""
        return len(self.joints) - 1

    @property
    def pose_size(self) -> int:
        """Numbers of a pose in axis-angle, the root's included."""
        return 3 * len(self.joints)

    @cached_property
    def body_joints(self) -> tuple[str, ...]:
        """(J,) names of all joints that the body says, in the order of a batch: its own, landmarks, regressed ones."""
        return (*self.joints, *self.landmarks, *(name for names in self.regressors.values() for name in names))

    @cached_property
    def index(self) -> dict[str, int]:
        """Name -> row of each body joint."""
        return {name: row for row, name in enumerate(self.body_joints)}

    @cached_property
    def mirror_body_joints(self) -> NDArray[np.int64]:
        """(J,) row of the mirror image of each body joint."""
        others = mirror_permutation(self.body_joints[len(self.joints) :])
        return np.concatenate([np.array(self.mirror), len(self.joints) + others]).astype(np.int64)

    def require(self, names: Sequence[str], who: str) -> list[int]:
        """Rows of body joints.

        Args:
            names: of the joints.
            who: needs them, for the message.

        Raises:
            ValueError: the body does not have them all.
        """
        if missing := [name for name in names if name not in self.index]:
            msg = f"{who} needs joints that the body {self.kind} does not have: {', '.join(missing[:5])}"
            raise ValueError(msg)
        return [self.index[name] for name in names]

    def rows(self, joint_set: JointSet) -> NDArray[np.int64]:
        """(K,) body joint of the same definition for each joint of a data set's, -1 where this body has none."""
        return np.array([-1 if name is None else self.index.get(name, -1) for name in joint_set.body])

    def root_row(self, joint_set: JointSet) -> int:
        """Body joint that the 3D joints of a data set are compared relative to: the body's root for 2D sets."""
        if joint_set.root is None:
            return 0
        return max(0, int(self.rows(joint_set)[joint_set.names.index(joint_set.root)]))


SMPL = BodySpec(
    kind="smpl",
    joints=SMPL_JOINTS,
    parents=SMPL_PARENTS,
    parts=(ROOT_PART, *[BODY_PART] * (len(SMPL_JOINTS) - 1)),
    mirror=tuple(mirror_permutation(SMPL_JOINTS).tolist()),
    shape_size=10,  # the first of the 300 of version 1.1.0, as all files of labels have them
    num_vertices=6890,
    landmarks=VERTEX_JOINTS,
    regressors={"J_regressor_h36m": H36M_JOINTS, "J_regressor_extra": EXTRA_JOINTS},
)
"""SMPL [1], and every body in its layout.

[1] Loper et al., SMPL: A Skinned Multi-Person Linear Model, SIGGRAPH Asia 2015.
"""
