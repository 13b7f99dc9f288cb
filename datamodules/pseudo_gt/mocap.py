"""MoCap labels: one body for each frame in the world, fused over the cameras that saw it, and back in each view.

The annotator labels each view alone. Of the same frame the body is the same in all views, so rotations are averaged
(chordal mean, the root in the world's axes), shapes as well, and the body is put where its joints are nearest to the
3D joints that the data set measured. Two tables come out of it:

* the world's, one row for each (sequence, frame), with ``views`` and ``view_disagreement``;
* the views', one row a person as in every table, the world's body moved by the view's extrinsics, with the data set's
  own camera. SMPL turns about its root joint, not about the origin, so with the rest root p of the body's shape
  ``root' = R root`` and ``transl' = R (p + transl) + t - p``.

``mirror_disagreement`` and ``latent`` belong to the network's view of a crop: the first is kept, the second is not.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from body_models.bodies import BodyModels
from body_models.camera import project
from body_models.parameters import BodyParameters
from body_models.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from body_models.spec import BodySpec
from datamodules.ids import PersonId
from datamodules.people import PeopleTable
from datamodules.progress import show_progress
from datamodules.pseudo_gt.native import LABELS_FILE, Columns, LabelError, LabelWriter, read_provenance, to_numpy

Quality = Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]
"""Quality columns of body_pose (N, R, 3, 3), the same as axis-angle (N, 3 R), and betas (N, S)."""

_COLUMNS = ("joints_3d", "camera_rotation", "camera_translation", "focal", "princpt", "sequence", "frame")


def is_mocap(people: PeopleTable) -> bool:
    """Whether calibrated cameras film these people and their 3D joints are known."""
    return all(people.has(name) for name in _COLUMNS)


def fuse_views(
    source: Path, views: Path, world: Path, people: PeopleTable, bodies: BodyModels, quality: Quality
) -> dict[str, float]:
    """Make the world's and the views' tables out of what the annotator says about each view.

    Args:
        source: label table of the single views.
        views: folder of the views' table to write.
        world: folder of the world's table to write.
        people: of ``source``, in its order.
        bodies: that the labels belong to.
        quality: computes the quality columns of the fused bodies.

    Returns:
        frames, mean number of views a frame, and mean disagreement of the views in mm.

    Raises:
        LabelError: the labels are not of these people, a sequence is in several places, or a frame lacks 3D joints.
    """
    sequences = people.column("sequence")
    starts = np.concatenate(([0], np.flatnonzero(sequences[1:] != sequences[:-1]) + 1, [len(people)]))
    if len(np.unique(sequences)) != len(starts) - 1:
        msg = f"{people.name}: the views of a sequence are not next to each other, so they cannot be fused"
        raise LabelError(msg)
    origin = {**read_provenance(source)["provenance"], "fused": "mean over the cameras of a frame"}
    frames, seen, moved = 0, 0, 0.0
    with (
        LabelWriter(
            views,
            joint_set=people.joint_set.name,
            image_root=people.image_root,
            provenance=origin,
            spec=bodies.spec,
        ) as view_writer,
        LabelWriter(
            world, provenance=origin, joint_set=None, image_root=None, frame="world", spec=bodies.spec
        ) as world_writer,
        pq.ParquetFile(source / LABELS_FILE) as file,
        torch.no_grad(),
    ):
        for start, stop in show_progress(list(pairwise(starts)), "fusing views"):
            rows = people.select(np.arange(start, stop))
            labels = _read_rows(file, start, stop)
            if labels["id"].tolist() != rows.ids():
                msg = f"{source} is not the label table of {people.name}: run the dump again"
                raise LabelError(msg)
            fused, in_views = _fuse(labels, rows, bodies, quality)
            world_writer.write(fused)
            view_writer.write(in_views)
            frames += len(fused["id"])
            seen += int(fused["views"].sum())
            moved += float(fused["view_disagreement"].sum())
    return {"frames": frames, "views": seen / frames, "view_disagreement_mm": moved / frames}


def _fuse(labels: Columns, rows: PeopleTable, bodies: BodyModels, quality: Quality) -> tuple[Columns, Columns]:
    """World's and views' columns of one sequence."""
    frames, frame_of = np.unique(rows.column("frame"), return_inverse=True)
    groups = torch.from_numpy(frame_of)
    views = torch.bincount(groups)

    def mean(values: Tensor) -> Tensor:
        total = values.new_zeros(len(frames), *values.shape[1:]).index_add_(0, groups, values)
        return total / views.view(-1, *[1] * (values.ndim - 1))

    turn = torch.from_numpy(rows.column("camera_rotation")).double()
    shift = torch.from_numpy(rows.column("camera_translation")).double()
    rotations = _rotations(labels)
    rotations[:, 0] = turn.transpose(1, 2) @ rotations[:, 0]
    betas = torch.tensor(labels["betas"])
    # The nearest rotation to the mean matrix.
    fused = roma.special_procrustes(mean(rotations))
    shape = mean(betas.double()).float()
    joints, spec = bodies.joints(BodyParameters.of_rotations(fused, shape)), bodies.spec
    place = _place(rows, spec, joints, mean, turn, shift)

    single = bodies.joints(BodyParameters.of_rotations(rotations, betas))
    single, common = (value[:, : len(spec.joints)] - value[:, :1] for value in (single, joints[groups]))
    disagreement = mean(1000 * torch.linalg.vector_norm(single - common, dim=-1)[:, 1:].mean(dim=1))

    pose = matrix_to_axis_angle(fused).flatten(1).float()
    extra = quality(fused[:, 1:].float(), pose[:, 3:], shape)
    whole = {name: value.numpy() for name, value in {"body_pose": pose[:, 3:], "betas": shape, **extra}.items()}
    whole["view_disagreement"] = disagreement.float().numpy()
    sequence = rows.column("sequence")[0].decode()
    dataset, split, _ = PersonId.parse(labels["id"][0])
    world = {
        "id": np.array([str(PersonId(dataset, split, f"{sequence}/{one}")) for one in frames.tolist()], dtype=object),
        "sequence": np.full(len(frames), sequence),
        "frame": frames,
        "global_orient": pose[:, :3].numpy(),
        "transl": place.float().numpy(),
        "gender": np.full(len(frames), "neutral"),
        **whole,
        "views": views.numpy(),
    }
    # The rest root turns with nothing, so it is taken out before the camera's rotation and put back after it.
    root = bodies.neutral.rest_pelvis(shape).double()
    transl = torch.einsum("nij,nj->ni", turn, (root + place)[groups]) + shift - root[groups]
    seen = torch.einsum("nij,nkj->nki", turn, (joints.double() + place[:, None])[groups]) + shift[:, None]
    in_views = {
        **{name: values for name, values in labels.items() if name != "latent"},
        **{name: values[frame_of] for name, values in whole.items()},
        "global_orient": matrix_to_axis_angle(turn @ fused[groups, 0]).float().numpy(),
        "transl": transl.float().numpy(),
        "focal": rows.column("focal"),
        "princpt": rows.column("princpt"),
        "views": views[groups].numpy(),
    }
    in_views["error_2d"], in_views["visible_joints"] = _error_2d(labels, rows, spec, seen)
    return world, in_views


def _place(
    rows: PeopleTable, spec: BodySpec, joints: Tensor, mean: Callable[[Tensor], Tensor], turn: Tensor, shift: Tensor
) -> Tensor:
    """(F, 3) metres: the translation that brings the body's joints (F, J, 3) nearest to the measured ones."""
    index = spec.rows(rows.joint_set)
    mapped = np.flatnonzero(index >= 0)
    measured = torch.from_numpy(rows.column("joints_3d")[:, mapped]).double()
    known = (measured[..., 3:] > 0).double()
    in_world = torch.einsum("nji,nkj->nki", turn, measured[..., :3] - shift[:, None])
    total, count = mean(in_world * known), mean(known)
    if (count.sum(dim=1) == 0).any():
        msg = f"{rows.name}: a frame of {rows.column('sequence')[0].decode()} has no 3D joint that the body has"
        raise LabelError(msg)
    wanted = total - count * joints[:, index[mapped]].double()
    return wanted.sum(dim=1) / count.sum(dim=1)


def _error_2d(labels: Columns, rows: PeopleTable, spec: BodySpec, seen: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean distance of the annotated joints in crop widths, and how many there are; as the dump measures it."""
    index = spec.rows(rows.joint_set)
    mapped = np.flatnonzero(index >= 0)
    focal, princpt = (torch.from_numpy(rows.column(name)) for name in ("focal", "princpt"))
    points = project(seen[:, index[mapped]], focal, princpt).numpy()
    annotated = rows.column("joints_2d")[:, mapped]
    visible = annotated[..., 2] > 0
    distance = np.linalg.norm(points - annotated[..., :2], axis=-1) / labels["box"][:, 2:3]
    count = visible.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (distance * visible).sum(axis=1) / count, count


def _rotations(labels: Columns) -> Tensor:
    """(N, 1 + R, 3, 3), in double precision: means of many views shall be exact where the views agree."""
    turns = np.concatenate([labels["global_orient"], labels["body_pose"]], axis=1)
    return axis_angle_to_matrix(torch.from_numpy(turns).double().unflatten(1, (-1, 3)))


def _read_rows(file: pq.ParquetFile, start: int, stop: int) -> Columns:
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    ends = np.cumsum(sizes)
    first, last = np.searchsorted(ends, start, side="right"), np.searchsorted(ends, stop)
    table = file.read_row_groups(range(first, last + 1))
    return to_numpy(table.slice(start - (ends[first] - sizes[first]), stop - start))
