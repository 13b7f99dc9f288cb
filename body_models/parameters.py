"""BodyParameters: pose, shape and place of people, of any kind of body, between its three notations.

Inside the graph rotations are matrices or 6D; files hold axis-angle, the root's apart from the others'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from body_models.contracts import GENDERS, Batch
from body_models.rotations import axis_angle_to_matrix, matrix_to_axis_angle, matrix_to_sixd, sixd_to_matrix


@dataclass
class BodyParameters:
    """Parameters of N people, of a body with R rotations besides the root's and S numbers of shape.

    Attributes:
        global_orient: (N, 3, 3) rotation of the root.
        body_pose: (N, R, 3, 3) rotations of the other joints, each relative to its parent.
        betas: (N, S) shape.
        transl: (N, 3) metres, or None: at the origin.
        gender: (N,) index into GENDERS, or None: all neutral.
    """

    global_orient: Tensor
    body_pose: Tensor
    betas: Tensor
    transl: Tensor | None = None
    gender: Tensor | None = None

    def __len__(self) -> int:
        return len(self.betas)

    @classmethod
    def of_rotations(cls, rotations: Tensor, betas: Tensor, transl: Tensor | None = None) -> BodyParameters:
        """Of rotations (N, 1 + R, 3, 3), the root first."""
        return cls(rotations[:, 0], rotations[:, 1:], betas, transl)

    @classmethod
    def of_axis_angle(cls, pose: Tensor, betas: Tensor, transl: Tensor | None = None) -> BodyParameters:
        """Of axis-angle (N, 3 (1 + R)) radians, the root first."""
        return cls.of_rotations(axis_angle_to_matrix(pose.unflatten(-1, (-1, 3))), betas, transl)

    @classmethod
    def of_sixd(cls, sixd: Tensor, betas: Tensor, transl: Tensor | None = None) -> BodyParameters:
        """Of 6D rotations (N, 6 (1 + R)), the root first."""
        return cls.of_rotations(sixd_to_matrix(sixd.unflatten(-1, (-1, 6))), betas, transl)

    @classmethod
    def of_columns(cls, columns: Mapping[str, NDArray[Any]]) -> BodyParameters:
        """Of the columns of a table: axis-angle ``global_orient`` and ``body_pose``, ``betas``; also, where there,
        ``transl`` and ``gender`` (names or indices)."""
        pose = (columns["global_orient"], columns["body_pose"])
        root, others = (
            axis_angle_to_matrix(torch.tensor(part, dtype=torch.float32).unflatten(1, (-1, 3))) for part in pose
        )
        betas = torch.tensor(columns["betas"], dtype=torch.float32)
        transl = torch.tensor(columns["transl"], dtype=torch.float32) if "transl" in columns else None
        gender = torch.from_numpy(gender_numbers(columns["gender"])) if "gender" in columns else None
        return cls(root[:, 0], others, betas, transl, gender)

    @classmethod
    def of_batch(cls, batch: Batch) -> BodyParameters:
        """The ground-truth bodies of a batch, each of its own gender, without translation."""
        return cls(batch["global_orient"], batch["body_pose"], batch["betas"], gender=batch["gender"])

    @property
    def rotations(self) -> Tensor:
        """(N, 1 + R, 3, 3), the root first."""
        return torch.cat((self.global_orient.unsqueeze(1), self.body_pose), dim=1)

    def axis_angle(self) -> Tensor:
        """(N, 3 (1 + R)) radians, the root first."""
        return matrix_to_axis_angle(self.rotations.float()).flatten(1)

    def sixd(self) -> Tensor:
        """(N, 6 (1 + R)), the root first."""
        return matrix_to_sixd(self.rotations).flatten(1)

    def select(self, some: slice | Tensor) -> BodyParameters:
        """Some of the people."""
        transl = None if self.transl is None else self.transl[some]
        gender = None if self.gender is None else self.gender[some]
        return BodyParameters(self.global_orient[some], self.body_pose[some], self.betas[some], transl, gender)

    def without_translation(self) -> BodyParameters:
        """The same people, each at the origin."""
        return BodyParameters(self.global_orient, self.body_pose, self.betas, gender=self.gender)


def gender_numbers(gender: ArrayLike) -> NDArray[np.int64]:
    """(N,) index into GENDERS of genders as tables have them: names, or these numbers already.

    Raises:
        ValueError: a name that is none of GENDERS.
    """
    gender = np.asarray(gender)
    if gender.dtype.kind not in "OUS":
        return gender.astype(np.int64)
    names, places = np.unique(gender.astype(str), return_inverse=True)
    if unknown := sorted(set(names.tolist()) - set(GENDERS)):
        msg = f"gender {unknown[0]!r} is none of {', '.join(GENDERS)}"
        raise ValueError(msg)
    return np.array([GENDERS.index(str(name)) for name in names], dtype=np.int64)[places]
