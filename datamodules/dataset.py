"""People as the samples of a Batch: the torch datasets that the DataModules load from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch.utils.data import Dataset

from body_models.camera import apply_affine, crop_affine, process_box
from body_models.mirror import mirror_points, mirror_pose
from body_models.spec import SMPL, BodySpec
from datamodules.crops import (
    NO_AUGMENTATION,
    Augmentation,
    Change,
    CropCache,
    PixelChange,
    choose_reduction,
    draw_change,
    read_image,
    warp,
)
from datamodules.files import AnnotationError
from datamodules.holdout import HoldOut
from datamodules.people import PeopleTable

_ZERO, _ONE = np.float32(0), np.float32(1)


class PeopleDataset(Dataset[Any]):
    """The people of a table as samples with the keys of :class:`body_models.contracts.Batch`.

    ``dataset[index]`` is the plain crop; ``dataset[index, seed]`` an augmented one, a pure function of both.

    Args:
        table: the people.
        source: name of the source, for ``Batch["source"]``.
        input_size: side of the square crops in pixels.
        augmentation: ranges of the random changes.
        crops: cached crops of this table, or None to decode the images each time.
        spec: of the body whose joints and parameters the samples have.
        pictures: False leaves the crops black, and opens no image.
        hold_out: which 2D joints are hidden; None hides none.

    Raises:
        AnnotationError: the table's bodies are of another kind.
    """

    def __init__(
        self,
        table: PeopleTable,
        source: str,
        input_size: int,
        augmentation: Augmentation = NO_AUGMENTATION,
        crops: CropCache | None = None,
        spec: BodySpec = SMPL,
        pictures: bool = True,
        hold_out: HoldOut | None = None,
    ) -> None:
        require_body(table, spec)
        self.spec, self.pictures, self.hold_out = spec, pictures, hold_out
        self.table, self.source, self.input_size = table, source, input_size
        self.augmentation, self.crops = augmentation, crops
        self._change_pixels = PixelChange(augmentation, input_size)
        mapped = spec.rows(table.joint_set)
        self._from, self._to = np.flatnonzero(mapped >= 0), mapped[mapped >= 0]
        self._root_index = spec.root_row(table.joint_set)
        self._root = os.fsencode(table.image_root)
        self._rest = np.tile(np.eye(3, dtype=np.float32), (len(spec.joints), 1, 1))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: int | tuple[int, int | None]) -> dict[str, Any]:
        index, seed = key if isinstance(key, tuple) else (key, None)
        columns, row = self.table.columns, self.table.rows[index]
        change = Change() if seed is None else draw_change(self.augmentation, seed)
        size = columns["image_size"][row]
        box = process_box(columns["box"][row], (size[0], size[1]))
        affine = crop_affine(box, (self.input_size, self.input_size), *change)
        image = self._crop(row, affine)
        if seed is not None and self.pictures:
            image = self._change_pixels(image, seed)
        return {
            "id": columns["id"][row].decode(),
            "source": self.source,
            "image": np.ascontiguousarray(image.transpose(2, 0, 1)),
            "box": box.astype(np.float32),
            "image_size": size.astype(np.float32),
            "affine": affine.astype(np.float32),
            **self._joints(row, affine, change),
            **self._body(row, change),
            **self._camera(row),
        }

    def _crop(self, row: int, affine: NDArray[Any]) -> NDArray[np.uint8]:
        if not self.pictures:
            return np.zeros((self.input_size, self.input_size, 3), np.uint8)
        if self.crops is not None:
            return self.crops.crop(row, affine, self.input_size)
        columns = self.table.columns
        path, size = os.path.join(self._root, columns["image"][row]), columns["image_size"][row]
        reduction = choose_reduction(affine, size)
        return warp(read_image(path, size, reduction), affine, self.input_size, reduction)

    def _joints(self, row: int, affine: NDArray[Any], change: Change) -> dict[str, Any]:
        count = len(self.spec.body_joints)
        joints_2d, conf_2d = np.zeros((count, 2), np.float32), np.zeros(count, np.float32)
        joints_3d, conf_3d = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
        known = self.table.columns["joints_2d"][row]
        if self.hold_out is not None:
            hidden = self.hold_out.hidden([self.table.columns["id"][row].decode()], len(known))[0]
            known = np.where(hidden[:, None], _ZERO, known)
        known = known[self._from]
        conf_2d[self._to] = known[:, 2]
        # Unlabelled joints stay at zero instead of at the image's corner, wherever the crop is.
        joints_2d[self._to] = apply_affine(affine, known[:, :2]) * (known[:, 2:] > 0)
        if "joints_3d" in self.table.columns:
            known = self.table.columns["joints_3d"][row][self._from]
            joints_3d[self._to] = known[:, :3] @ _about_z(change.rotation_deg).T
            conf_3d[self._to] = known[:, 3]
        if change.flip:
            order = self.spec.mirror_body_joints
            joints_2d, conf_2d, conf_3d = joints_2d[order], conf_2d[order], conf_3d[order]
            joints_3d = mirror_points(joints_3d, order)
        return {
            "joints_2d": joints_2d,
            "joints_2d_conf": conf_2d,
            "joints_3d": joints_3d,
            "joints_3d_conf": conf_3d,
            "root_index": self._root_index,
        }

    def _body(self, row: int, change: Change) -> dict[str, Any]:
        columns = self.table.columns
        has_pose, has_betas = "global_orient" in columns, "betas" in columns
        rotations = self._rest
        if has_pose:
            pose = np.concatenate((columns["global_orient"][row], columns["body_pose"][row])).reshape(-1, 3)
            rotations = Rotation.from_rotvec(pose).as_matrix()
            rotations[0] = _about_z(change.rotation_deg) @ rotations[0]
            if change.flip:
                rotations = mirror_pose(rotations, self.spec)
            rotations = rotations.astype(np.float32)
        return {
            "global_orient": rotations[0],
            "body_pose": rotations[1:],
            "betas": columns["betas"][row].copy() if has_betas else np.zeros(self.spec.shape_size, np.float32),
            "transl": columns["transl"][row].copy() if has_pose else np.zeros(3, np.float32),
            "has_pose": _ONE if has_pose else _ZERO,
            "has_betas": _ONE if has_betas else _ZERO,
            "gender": int(columns["gender"][row]) if "gender" in columns else 0,
        }

    def _camera(self, row: int) -> dict[str, Any]:
        columns = self.table.columns
        if "focal" not in columns:
            return {"focal": np.ones(2, np.float32), "princpt": np.zeros(2, np.float32), "has_camera": _ZERO}
        return {"focal": columns["focal"][row].copy(), "princpt": columns["princpt"][row].copy(), "has_camera": _ONE}


class JoinedDataset(Dataset[Any]):
    """Several datasets one after the other, indexed like one, with or without a seed."""

    def __init__(self, datasets: Sequence[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        self._sizes = [len(dataset) for dataset in self.datasets]  # type: ignore[arg-type]
        self._ends = np.cumsum(self._sizes)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, key: int | tuple[int, int | None]) -> dict[str, Any]:
        index, seed = key if isinstance(key, tuple) else (key, None)
        number = int(np.searchsorted(self._ends, index, side="right"))
        sample: dict[str, Any] = self.datasets[number][index - int(self._ends[number]) + self._sizes[number], seed]
        return sample


def require_body(table: PeopleTable, spec: BodySpec) -> None:
    """Raise an AnnotationError if a table has parameters of another kind of body."""
    for name, size in (("body_pose", 3 * spec.num_rotations), ("betas", spec.shape_size)):
        if table.has(name) and (found := table.columns[name].shape[1]) != size:
            msg = (
                f"{table.name} has {found} numbers of {name}, the body {spec.kind} has {size}: its bodies are of "
                "another kind; give the body that they were made with as body_models"
            )
            raise AnnotationError(msg)


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A Batch of samples; what torch's default does, without a tensor for each value of each sample."""
    batch: dict[str, Any] = {}
    for key, first in samples[0].items():
        values = [sample[key] for sample in samples]
        batch[key] = values if isinstance(first, str) else torch.from_numpy(np.stack(values))
    return batch


def _about_z(angle_deg: float) -> NDArray[np.float64]:
    """Turns x towards y, as the crop is turned; the NumPy twin of rotations.rotation_about_z."""
    angle = np.deg2rad(angle_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
