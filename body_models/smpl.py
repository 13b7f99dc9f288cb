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
        is_free_body: whether this is the free body, not SMPL, which every result must say.
    """

    spec: BodySpec
    arrays: Mapping[str, NDArray[Any]]
    regressors: Mapping[str, NDArray[Any]]
    gender: str = "neutral"
    is_free_body: bool = False


class SkinnedBody(nn.Module):
    """A linearly skinned body with pose and shape directions, posed by rotation matrices.

    With V vertices, R rotations besides the root's, S numbers of shape and J body joints.

    Args:
        files: of the body.

    Attributes:
        spec: what it is.
        faces: (F, 3) int64 array.
        gender: neutral, male or female.
        is_free_body: whether this is the free body, not SMPL, which every result must say.
    """

    def __init__(self, files: SkinnedFiles) -> None:
        super().__init__()
        self.spec, self.is_free_body, self.gender = files.spec, files.is_free_body, files.gender
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
        constant("mesh_template", arrays["v_template"])
        constant("mesh_shapedirs", shapedirs)
        constant("mesh_posedirs", posedirs.reshape(-1, posedirs.shape[-1]).T)
        constant("mesh_weights", arrays["weights"])
        constant("mesh_regressor", regressor)
        # A joint is a sum over vertices of sums over the bones that move them. Summed over the vertices first, what is
        # left is a point for each pair of a joint and a bone.
        share = np.einsum("jv,vk->jkv", regressor[:, used], np.asarray(arrays["weights"])[used])
        pair_joint, pair_bone = np.nonzero(np.abs(share).sum(axis=2))
        pairs = share[pair_joint, pair_bone]
        constant("pair_template", pairs @ np.asarray(arrays["v_template"])[used])
        directions = np.concatenate((shapedirs[used], posedirs[used]), axis=2)
        constant("pair_directions", np.einsum("pv,vcd->dpc", pairs, directions).reshape(directions.shape[2], -1))
        constant("pair_weight", pairs.sum(axis=1))
        constant("pair_sum", pair_joint == np.arange(len(regressor))[:, None])
        self.register_buffer("pair_bone", torch.tensor(pair_bone, device="cpu"), persistent=False)

    # Buffers are created in a loop, so their types are declared here for readers and checkers.
    joint_regressor: Tensor
    joint_template: Tensor
    joint_shapedirs: Tensor
    mesh_template: Tensor
    mesh_shapedirs: Tensor
    mesh_posedirs: Tensor
    mesh_weights: Tensor
    mesh_regressor: Tensor
    pair_template: Tensor
    pair_directions: Tensor
    pair_weight: Tensor
    pair_sum: Tensor
    pair_bone: Tensor

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
        # bf16 in the body model was measured at 2.4 mm mean and 12 mm maximum vertex error.
        with torch.autocast(device_type=betas.device.type, enabled=False):
            betas = betas.float()
            rotations, pose_feature = _rotations(global_orient, body_pose)
            shaped = self.mesh_template + torch.einsum("bk,vck->bvc", betas, self.mesh_shapedirs)
            unposed = shaped + (pose_feature @ self.mesh_posedirs).view(len(betas), -1, 3)
            posed_joints, transforms = self._bones(rotations, betas)
            blended = (self.mesh_weights @ transforms.flatten(2)).view(len(betas), -1, 4, 4)
            vertices = torch.einsum("bvij,bvj->bvi", blended[..., :3, :3], unposed) + blended[..., :3, 3]
            joints = torch.cat((posed_joints, self.mesh_regressor @ vertices), dim=1)
            if transl is not None:
                offset = transl.float().unsqueeze(1)
                vertices, joints = vertices + offset, joints + offset
            return BodyOutput(vertices, joints)

    def joints(self, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor | None = None) -> Tensor:
        """(B, J, 3) joints; the same as ``forward(...).joints``, at a fraction of the cost: no vertex is posed."""
        with torch.autocast(device_type=betas.device.type, enabled=False):
            betas = betas.float()
            rotations, pose_feature = _rotations(global_orient, body_pose)
            pairs = len(self.pair_weight)
            directions = torch.cat((betas, pose_feature), dim=1) @ self.pair_directions
            unposed = self.pair_template + directions.view(len(betas), pairs, 3)
            posed_joints, transforms = self._bones(rotations, betas)
            moved = transforms[:, self.pair_bone]
            # Not as a matrix product: BLAS is slow on many small ones.
            posed = (moved[..., :3, :3] * unposed.unsqueeze(-2)).sum(dim=-1)
            posed = posed + moved[..., :3, 3] * self.pair_weight[:, None]
            joints = torch.cat((posed_joints, self.pair_sum @ posed), dim=1)
            return joints if transl is None else joints + transl.float().unsqueeze(1)

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

    def _bones(self, rotations: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1 + R, 3) own joints, and (B, 1 + R, 4, 4) what each bone does to a point of the unposed body."""
        rest_joints = self.joint_template + torch.einsum("bk,jck->bjc", betas, self.joint_shapedirs)
        found: tuple[Tensor, Tensor] = batch_rigid_transform(rotations, rest_joints, self.parents)
        return found


def _rotations(global_orient: Tensor, body_pose: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1 + R, 3, 3) all rotations, and (B, 9 R) what pose directions are for."""
    rotations = torch.cat((global_orient.float().unsqueeze(1), body_pose.float()), dim=1)
    return rotations, (rotations[:, 1:] - torch.eye(3, device=rotations.device)).flatten(1)


class BodyModel(SkinnedBody):
    """SMPL, neutral or gendered.

    Args:
        body_models: folder with model files in the official names, or "free" for the free body, which anyone may use.
        gender: neutral, male or female.
    """

    def __init__(self, body_models: str = "free", gender: str = "neutral") -> None:
        files = read_model_files(body_models, gender)
        regressors = {name: getattr(files, name) for name in SMPL.regressors}
        super().__init__(SkinnedFiles(SMPL, files.arrays, regressors, gender, files.is_free_body))
