"""Linearly skinned bodies, SMPL above all [1], as a layer without parameters, in fp32, with a fast path for joints.

smplx's skinning works on any subset of the vertices, because linear blend skinning treats each vertex on its own.
The losses need joints only, so :meth:`SkinnedBody.joints` poses just the vertices that some joint depends on.

[1] Loper et al., SMPL: A Skinned Multi-Person Linear Model, SIGGRAPH Asia 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from smplx.lbs import batch_rigid_transform
from torch import Tensor, nn

from body_models.model_files import read_model_files
from body_models.spec import SMPL, BodySpec


class BodyOutput(NamedTuple):
    """A posed body.

    Attributes:
        vertices: (B, V, 3) metres.
        joints: (B, J, 3) metres, the body joints of the body's spec.
    """

    vertices: Tensor
    joints: Tensor


@dataclass(frozen=True)
class SkinnedFiles:
    """A linearly skinned body as read from its files.

    Attributes:
        spec: what it is.
        arrays: keys of SMPL's files: v_template (V, 3) metres, f (F, 3), shapedirs (V, 3, S), posedirs (V, 3, 9 R),
            J_regressor (1 + R, V) and weights (V, 1 + R).
        regressors: (rows, V) of each of the spec's regressors.
        gender: that they are of.
        is_standin: whether this is the licence-free stand-in, which every result must say.
    """

    spec: BodySpec
    arrays: Mapping[str, NDArray[Any]]
    regressors: Mapping[str, NDArray[Any]]
    gender: str = "neutral"
    is_standin: bool = False


class SkinnedBody(nn.Module):
    """A linearly skinned body with pose and shape directions, posed by rotation matrices.

    With V vertices, R rotations besides the root's, S numbers of shape and J body joints.

    Args:
        files: of the body.

    Attributes:
        spec: what it is.
        faces: (F, 3) int64 array.
        gender: neutral, male or female.
        is_standin: whether this is the licence-free stand-in, which every result must say.
    """

    def __init__(self, files: SkinnedFiles) -> None:
        super().__init__()
        self.spec, self.is_standin, self.gender = files.spec, files.is_standin, files.gender
        arrays = files.arrays
        self.faces = np.asarray(arrays["f"], dtype=np.int64)
        landmarks = list(self.spec.landmarks.values())
        picked = np.zeros((len(landmarks), self.spec.num_vertices))
        picked[np.arange(len(picked)), landmarks] = 1
        regressor = np.concatenate([picked, *(files.regressors[name] for name in self.spec.regressors)])
        used = np.flatnonzero(np.abs(regressor).sum(axis=0))

        # Not in checkpoints: the model is licensed, large, and the same in every run. On the CPU also where a network
        # is being built without memory (the meta device): its start depends on the body.
        def constant(name: str, value: NDArray[Any]) -> None:
            self.register_buffer(
                name, torch.tensor(np.ascontiguousarray(value), dtype=torch.float32, device="cpu"), persistent=False
            )

        shapedirs = np.asarray(arrays["shapedirs"])[..., : self.spec.shape_size]
        posedirs = np.asarray(arrays["posedirs"])
        # No buffer, so that it stays on the CPU: smplx indexes a list by it, and would fetch each number from a GPU in
        # every pass, each after all the work in front of it.
        self.parents = torch.tensor(self.spec.parents, device="cpu")
        constant("joint_regressor", arrays["J_regressor"])
        constant("joint_template", arrays["J_regressor"] @ arrays["v_template"])
        constant("joint_shapedirs", np.einsum("jv,vcb->jcb", arrays["J_regressor"], shapedirs))
        for part, rows in (("mesh", slice(None)), ("used", used)):
            constant(f"{part}_template", arrays["v_template"][rows])
            constant(f"{part}_shapedirs", shapedirs[rows])
            constant(f"{part}_posedirs", posedirs[rows].reshape(-1, posedirs.shape[-1]).T)
            constant(f"{part}_weights", arrays["weights"][rows])
            constant(f"{part}_regressor", regressor[:, rows])

    # Buffers are created in a loop, so their types are declared here for readers and checkers.
    joint_regressor: Tensor
    joint_template: Tensor
    joint_shapedirs: Tensor
    mesh_regressor: Tensor

    def forward(
        self, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor | None = None
    ) -> BodyOutput:
        """Pose the whole mesh.

        Args:
            global_orient: (B, 3, 3) rotation about the root joint (not the origin).
            body_pose: (B, R, 3, 3).
            betas: (B, S).
            transl: (B, 3) metres, or None for none.
        """
        return self._pose("mesh", global_orient, body_pose, betas, transl)

    def joints(self, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor | None = None) -> Tensor:
        """(B, J, 3) joints; the same as ``forward(...).joints``, at a tenth of the cost."""
        return self._pose("used", global_orient, body_pose, betas, transl).joints

    def joints_from_vertices(self, vertices: Tensor) -> Tensor:
        """(B, J, 3) joints of a posed mesh (B, V, 3) whose rotations are unknown.

        All but the joints that are turned are those of :meth:`joints`. These come through the body's own regressor,
        which was made for the unposed mesh: it agrees with them in the rest pose, and is, for SMPL, about 1 cm off in
        poses far from it.
        """
        with torch.autocast(device_type=vertices.device.type, enabled=False):
            return torch.cat((self.joint_regressor, self.mesh_regressor)) @ vertices.float()

    def rest_pelvis(self, betas: Tensor) -> Tensor:
        """(B, 3) root joint of the unposed body, about which ``global_orient`` turns."""
        return self.joint_template[0] + torch.einsum("bk,ck->bc", betas.float(), self.joint_shapedirs[0])

    def skeleton(self, rotations: Tensor) -> Tensor:
        """(B, 1 + R, 3) own joints of the mean shape, in fp32, for rotations (B, 1 + R, 3, 3): no mesh is posed."""
        rest = self.joint_template.expand(len(rotations), -1, -1)
        with torch.autocast(device_type=rotations.device.type, enabled=False):
            joints, _ = batch_rigid_transform(rotations, rest, self.parents)
        return joints

    def _pose(
        self, part: str, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor | None
    ) -> BodyOutput:
        # bf16 in the body model was measured at 2.4 mm mean and 12 mm maximum vertex error.
        with torch.autocast(device_type=betas.device.type, enabled=False):
            template: Tensor = getattr(self, f"{part}_template")
            shapedirs: Tensor = getattr(self, f"{part}_shapedirs")
            posedirs: Tensor = getattr(self, f"{part}_posedirs")
            weights: Tensor = getattr(self, f"{part}_weights")
            regressor: Tensor = getattr(self, f"{part}_regressor")

            betas = betas.float()
            rotations = torch.cat((global_orient.float().unsqueeze(1), body_pose.float()), dim=1)
            batch = len(rotations)

            rest_joints = self.joint_template + torch.einsum("bk,jck->bjc", betas, self.joint_shapedirs)
            pose_feature = (rotations[:, 1:] - torch.eye(3, device=betas.device)).flatten(1)
            shaped = template + torch.einsum("bk,vck->bvc", betas, shapedirs)
            unposed = shaped + (pose_feature @ posedirs).view(batch, -1, 3)

            posed_joints, transforms = batch_rigid_transform(rotations, rest_joints, self.parents)
            blended = (weights @ transforms.flatten(2)).view(batch, -1, 4, 4)
            vertices = torch.einsum("bvij,bvj->bvi", blended[..., :3, :3], unposed) + blended[..., :3, 3]
            joints = torch.cat((posed_joints, regressor @ vertices), dim=1)
            if transl is not None:
                offset = transl.float().unsqueeze(1)
                vertices, joints = vertices + offset, joints + offset
            return BodyOutput(vertices, joints)


class BodyModel(SkinnedBody):
    """SMPL, neutral or gendered.

    Args:
        body_models: folder with model files in the official names, or "standin" for the embedded licence-free body.
        gender: neutral, male or female.
    """

    def __init__(self, body_models: str = "standin", gender: str = "neutral") -> None:
        files = read_model_files(body_models, gender)
        regressors = {name: getattr(files, name) for name in SMPL.regressors}
        super().__init__(SkinnedFiles(SMPL, files.arrays, regressors, gender, files.is_standin))
