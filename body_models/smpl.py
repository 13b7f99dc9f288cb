"""The SMPL body as a layer without parameters, in fp32, with a fast path for joints alone [1].

smplx's skinning works on any subset of the vertices, because linear blend skinning treats each vertex on its own.
The losses need joints only, so :meth:`BodyModel.joints` poses just the vertices that some joint depends on.

[1] Loper et al., SMPL: A Skinned Multi-Person Linear Model, SIGGRAPH Asia 2015.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from smplx.lbs import batch_rigid_transform
from torch import Tensor, nn

from body_models.contracts import NUM_BETAS
from body_models.joint_sets import SMPL_JOINTS, VERTEX_JOINTS
from body_models.model_files import read_model_files


class BodyOutput(NamedTuple):
    """A posed body.

    Attributes:
        vertices: (B, 6890, 3) metres.
        joints: (B, J, 3) metres, the body joints of :data:`body_models.joint_sets.BODY_JOINTS`.
    """

    vertices: Tensor
    joints: Tensor


class BodyModel(nn.Module):
    """SMPL, neutral or gendered, posed by rotation matrices.

    Args:
        body_models: folder with model files in the official names, or "free" for the free body, which anyone may use.
        gender: neutral, male or female.

    Attributes:
        faces: (13776, 3) int64 array.
        is_free_body: whether this is the free body, not SMPL, which every result must say.
    """

    def __init__(self, body_models: str = "free", gender: str = "neutral") -> None:
        super().__init__()
        files = read_model_files(body_models, gender)
        self.is_free_body = files.is_free_body
        self.gender = gender
        arrays = files.arrays
        self.faces = np.asarray(arrays["f"], dtype=np.int64)
        parents = np.asarray(arrays["kintree_table"])[0].astype(np.int64)
        parents[0] = -1

        picked = np.zeros((len(VERTEX_JOINTS), len(arrays["v_template"])))
        picked[np.arange(len(picked)), list(VERTEX_JOINTS.values())] = 1
        regressor = np.concatenate([picked, files.J_regressor_h36m, files.J_regressor_extra])
        used = np.flatnonzero(np.abs(regressor).sum(axis=0))

        # Not in checkpoints: the model is licensed, large, and the same in every run. On the CPU also where a network
        # is being built without memory (the meta device): its start depends on the body.
        def constant(name: str, value: np.ndarray) -> None:
            self.register_buffer(
                name, torch.tensor(np.ascontiguousarray(value), dtype=torch.float32, device="cpu"), persistent=False
            )

        shapedirs = np.asarray(arrays["shapedirs"])[..., :NUM_BETAS]
        posedirs = np.asarray(arrays["posedirs"])
        # No buffer, so that it stays on the CPU: smplx indexes a list by it, and would fetch 23 numbers from a GPU in
        # every pass, each after all the work in front of it.
        self.parents = torch.tensor(parents, device="cpu")
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
            body_pose: (B, 23, 3, 3).
            betas: (B, 10).
            transl: (B, 3) metres, or None for none.
        """
        return self._pose("mesh", global_orient, body_pose, betas, transl)

    def joints(self, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor | None = None) -> Tensor:
        """(B, J, 3) joints; the same as ``forward(...).joints``, at a tenth of the cost."""
        return self._pose("used", global_orient, body_pose, betas, transl).joints

    def joints_from_vertices(self, vertices: Tensor) -> Tensor:
        """(B, J, 3) joints of a posed mesh (B, 6890, 3) whose rotations are unknown.

        All but the 24 SMPL joints are those of :meth:`joints`. The 24 come through SMPL's regressor, which was made for
        the unposed mesh: it agrees with them in the rest pose, and is about 1 cm off in poses far from it.
        """
        with torch.autocast(device_type=vertices.device.type, enabled=False):
            return torch.cat((self.joint_regressor, self.mesh_regressor)) @ vertices.float()

    def rest_pelvis(self, betas: Tensor) -> Tensor:
        """(B, 3) root joint of the unposed body, about which ``global_orient`` turns."""
        return self.joint_template[0] + torch.einsum("bk,ck->bc", betas.float(), self.joint_shapedirs[0])

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
            joints = torch.cat((posed_joints[:, : len(SMPL_JOINTS)], regressor @ vertices), dim=1)
            if transl is not None:
                offset = transl.float().unsqueeze(1)
                vertices, joints = vertices + offset, joints + offset
            return BodyOutput(vertices, joints)
