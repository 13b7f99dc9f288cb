"""The kinds of bodies, and the bodies of one kind by gender.

A *reference* names bodies in settings and arguments (there called ``body_models``): ``free``, a folder with SMPL's
official files, a body file (.npz, :mod:`body_models.body_file`), or ``KIND:PLACE`` with a kind of :data:`BODIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from body_models.body_file import find_body_file, open_body_file, read_spec
from body_models.contracts import GENDERS
from body_models.model_files import find_model_files
from body_models.parameters import BodyParameters
from body_models.smpl import BodyModel, BodyOutput
from body_models.spec import SMPL, BodySpec

FREE_BODY = "free"
_POSED_AT_ONCE = 256


class Body(Protocol):
    """What poses people; a torch module without parameters, in fp32 whatever the precision around it.

    With V vertices, R rotations besides the root's, S numbers of shape and J body joints, as its spec says.

    Attributes:
        spec: what it is.
        gender: that it is of.
        faces: (F, 3) int64, counter-clockwise seen from outside.
        is_free_body: whether this is the free body, not SMPL, which every result must say.
        joint_template: (1 + R, 3) metres, own joints of the unposed mean shape.
    """

    spec: BodySpec
    gender: str
    faces: NDArray[np.int64]
    is_free_body: bool
    joint_template: Tensor

    def __call__(
        self, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor | None = None
    ) -> BodyOutput:
        """The posed mesh and its joints, of (B, 3, 3), (B, R, 3, 3), (B, S) and (B, 3) metres."""

    def joints(self, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor | None = None) -> Tensor:
        """(B, J, 3) joints alone."""

    def joints_from_vertices(self, vertices: Tensor) -> Tensor:
        """(B, J, 3) joints of a posed mesh (B, V, 3) whose rotations are unknown."""

    def skeleton(self, rotations: Tensor) -> Tensor:
        """(B, 1 + R, 3) own joints of the mean shape, for rotations (B, 1 + R, 3, 3)."""

    def rest_pelvis(self, betas: Tensor) -> Tensor:
        """(B, 3) root joint of the unposed body, about which ``global_orient`` turns."""

    def to(self, device: torch.device) -> Body:
        """The body on a device."""


class BodyKind(NamedTuple):
    """How the bodies of a kind are found; each function takes their place, which is what a reference says of them.

    Attributes:
        spec: what they are.
        open: the body of a gender.
        files: name -> file of what the body of a gender is read from, none where it is embedded; raises a
            ModelFileError that names what is missing.
    """

    spec: Callable[[str], BodySpec]
    open: Callable[[str, str], Body]
    files: Callable[[str, str], dict[str, Path]]


BODIES: dict[str, BodyKind] = {
    "smpl": BodyKind(
        lambda place: SMPL,
        BodyModel,
        lambda place, gender: {} if place == FREE_BODY else find_model_files(place, gender),
    ),
    "file": BodyKind(read_spec, open_body_file, lambda place, gender: find_body_file(place)),
}
"""Kinds of bodies by name."""


def _kind(body_models: str) -> tuple[BodyKind, str]:
    name, separator, place = str(body_models).partition(":")
    if separator and name in BODIES:
        return BODIES[name], place
    return BODIES["file" if str(body_models).endswith(".npz") else "smpl"], str(body_models)


def open_body(body_models: str = FREE_BODY, gender: str = GENDERS[0]) -> Body:
    """The body of a reference and a gender.

    Raises:
        ModelFileError: files are missing or damaged.
    """
    kind, place = _kind(body_models)
    return kind.open(place, gender)


def body_spec(body_models: str = FREE_BODY) -> BodySpec:
    """What the bodies of a reference are, without reading more than is needed for it."""
    kind, place = _kind(body_models)
    return kind.spec(place)


def body_files(body_models: str, gender: str = GENDERS[0]) -> dict[str, Path]:
    """Name -> file of what a body is read from, none for the free body; raises a ModelFileError if one is missing."""
    kind, place = _kind(body_models)
    return kind.files(place, gender)


class BodyModels:
    """The bodies of a reference by gender, each made when it is first needed, so that neutral people need no other.

    Args:
        body_models: reference, see the module's head.
        batch_size: people posed at once.
    """

    def __init__(self, body_models: str = FREE_BODY, batch_size: int = _POSED_AT_ONCE) -> None:
        self.body_models, self.batch_size = str(body_models), batch_size
        self._bodies: dict[str, Body] = {}

    @property
    def spec(self) -> BodySpec:
        """What they are."""
        return body_spec(self.body_models)

    def __getitem__(self, gender: str) -> Body:
        """The body of a gender."""
        if gender not in self._bodies:
            self._bodies[gender] = open_body(self.body_models, gender)
        return self._bodies[gender]

    @property
    def neutral(self) -> Body:
        """The body that networks regress."""
        return self[GENDERS[0]]

    def pose(self, people: BodyParameters, gradients: bool = False) -> BodyOutput:
        """Meshes (N, V, 3) and body joints (N, J, 3), metres: each person by the body of its gender, in batches."""
        with torch.set_grad_enabled(gradients):
            parts = list(self._parts(people, lambda body, some: body(*_tensors(some))))
            return BodyOutput(_joined(people, parts, 0), _joined(people, parts, 1))

    def joints(self, people: BodyParameters, gradients: bool = False) -> Tensor:
        """(N, J, 3) body joints, metres: each person by the body of its gender, in batches, without the meshes."""
        with torch.set_grad_enabled(gradients):
            return _joined(people, list(self._parts(people, lambda body, some: (body.joints(*_tensors(some)),))), 0)

    def _parts(
        self, people: BodyParameters, posed: Callable[[Body, BodyParameters], tuple[Tensor, ...]]
    ) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
        """Rows, and what is posed of them, of people of one gender at a time."""
        device = people.betas.device
        gender = torch.zeros(len(people), dtype=torch.int64, device=device) if people.gender is None else people.gender
        for number in gender.unique().tolist():
            body = self[GENDERS[number]].to(device)
            for rows in (gender == number).nonzero()[:, 0].split(self.batch_size):
                yield rows, posed(body, people.select(rows))


def _tensors(people: BodyParameters) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    return people.global_orient, people.body_pose, people.betas, people.transl


def _joined(people: BodyParameters, parts: list[tuple[Tensor, tuple[Tensor, ...]]], place: int) -> Tensor:
    """One of the outputs of all parts, in the order of the people."""
    if not parts:
        msg = "there is nobody to be posed"
        raise ValueError(msg)
    if len(parts) == 1:
        return parts[0][1][place]
    order = torch.cat([rows for rows, _ in parts]).argsort()
    return torch.cat([outputs[place] for _, outputs in parts])[order]
