"""What the command ``inspect`` says about people: text for a reader, and a json to compare other code with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.camera import apply_affine, crop_affine, process_box
from body_models.contracts import GENDERS
from body_models.joint_sets import mirror_name
from datamodules.files import check_image, missing_files
from datamodules.image_checks import MISSING, UNREADABLE, image_faults
from datamodules.people import PeopleTable
from datamodules.progress import show_progress
from datamodules.writing import replacing

CROP_SIZE = 256
_NAMED = 5
# Quantities of 3D are looked at on this many people, evenly spread: a median needs no more.
_SAMPLE = 20_000
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
# Metres; half to twice the thigh and shin of any adult. Millimetres or feet lie far outside.
_LEG_BONES = (("hip", "knee"), ("knee", "ankle"))
_LEG_RANGE = (0.15, 0.8)
# Share of the box's side that projected 3D joints may miss the 2D joints by.
_PROJECTION_TOLERANCE = 0.03


class Images(NamedTuple):
    """What was found out about a table's images.

    Attributes:
        total: number of different images.
        missing: those that are not on disk, sorted.
        unreadable: a line for each that is damaged or of another size than its annotation says.
    """

    total: int
    missing: list[Path]
    unreadable: list[str]


def with_images(table: PeopleTable, look: Callable[..., object] | None = check_image) -> tuple[PeopleTable, Images]:
    """The people whose image is on disk and whole; the others are counted by reason.

    Where none of the images is on disk (someone has only the annotations), everybody is kept.

    Args:
        table: the people.
        look: how to look at each image, by its path and size; None lists the folders only.
    """
    names, first, inverse = np.unique(table.column("image"), return_index=True, return_inverse=True)
    missing = missing_files(table.image_root, names.tolist())
    lost = [Path(table.image_root, os.fsdecode(name)) for name in names[missing]]
    if missing.all():
        return table, Images(len(names), lost, [])
    faults: list[str | None] = [None] * len(names)
    if look is not None:
        there = np.flatnonzero(~missing)
        sizes = table.column("image_size")[first[there]]
        for i, fault in zip(there, image_faults(table.image_root, names[there].tolist(), sizes, look), strict=True):
            faults[i] = fault
    damaged = np.array([line is not None for line in faults])
    kept = table.select(~missing[inverse], MISSING)
    kept = kept.select(~damaged[inverse][~missing[inverse]], UNREADABLE)
    return kept, Images(len(names), lost, [line for line in faults if line is not None])


def people_records(table: PeopleTable) -> Iterator[dict[str, Any]]:
    """One dict a person: id, image, processed box, affine to a 256 x 256 crop, and the joints in it."""
    names = table.joint_set.names
    images, sizes, boxes = (table.column(name) for name in ("image", "image_size", "box"))
    for i, (person, joints) in enumerate(zip(table.ids(), table.column("joints_2d"), strict=True)):
        box = process_box(boxes[i], (sizes[i][0], sizes[i][1]))
        affine = crop_affine(box, (CROP_SIZE, CROP_SIZE))
        labelled = joints[:, 2:] > 0
        in_crop = np.concatenate([apply_affine(affine, joints[:, :2].astype(np.float64)), joints[:, 2:]], axis=1)
        yield {
            "id": person,
            "image": os.fsdecode(images[i]),
            "box": box.tolist(),
            "affine": affine.tolist(),
            # Unlabelled joints have no place; zeros say so better than the image's corner, wherever the crop is.
            "joints": dict(zip(names, (in_crop * labelled).tolist(), strict=True)),
        }


def write_people(path: Path, source: str, split: str, table: PeopleTable) -> None:
    """Write the json, one person a line, without holding it in memory; nobody ever sees half of it."""
    head = {"source": source, "split": split, "kept": len(table), "dropped": table.dropped}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "people": [')
        records = show_progress(people_records(table), f"writing {path.name}", len(table))
        for i, record in enumerate(records):
            file.write((",\n" if i else "\n") + json.dumps(record))
        file.write("\n]}\n")


def describe(table: PeopleTable, images: Images) -> tuple[list[str], list[str]]:
    """Lines about the people, and warnings: what does not look like the units or images it should be."""
    warnings = [f"{len(images.missing)} of {images.total} images are not on disk"] if images.missing else []
    warnings += [f"{len(images.unreadable)} of {images.total} images are unreadable"] if images.unreadable else []
    warnings += table.notes
    dropped = table.dropped
    lines = [
        f"people   found {len(table) + sum(dropped.values())}, kept {len(table)}, dropped {sum(dropped.values())}",
        *(f"         {count:8} dropped: {reason}" for reason, count in sorted(dropped.items())),
        f"images   {images.total} below {table.image_root}",
        *_named("not on disk", list(map(str, images.missing))),
        *_named("unreadable", images.unreadable),
    ]
    if images.missing and MISSING not in dropped:
        lines.append("         none is on disk, so everybody is kept: the annotations are shown by themselves")
        lines.append(f"         looked in {table.where_images_were_looked_for()}")
    if not len(table):
        return lines, warnings
    lines += [*_origin_lines(table), *_joint_lines(table), *_box_lines(table)]
    for part in (_unit_lines, _body_lines):
        more, odd = part(table)
        lines, warnings = lines + more, warnings + odd
    return lines, warnings


def counts_json(source: str, split: str, kept: int, dropped: Mapping[str, int], **more: Any) -> str:
    """The json of a source that has no people in pictures: counts only."""
    return json.dumps({"source": source, "split": split, "kept": kept, "dropped": dict(dropped), **more}) + "\n"


def quantiles(values: NDArray[Any], digits: int = 0) -> str:
    """Smallest, 5 %, median, 95 % and largest of finite values."""
    found = np.quantile(values, _QUANTILES)
    return "min {}, 5 % {}, median {}, 95 % {}, max {}".format(*(f"{value:.{digits}f}" for value in found))


def _named(what: str, names: list[str]) -> list[str]:
    more = [f"             ... and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return [f"         {len(names):8} {what}:", *(f"             {name}" for name in names[:_NAMED]), *more] * bool(
        names
    )


def _origin_lines(table: PeopleTable) -> list[str]:
    known = [name for name in ("sequence", "camera") if table.has(name)]
    counts = [f"{len(np.unique(table.column(name)))} {name}s" for name in known]
    lines = ["videos   " + ", ".join(counts)] if counts else []
    if table.has("gender"):
        genders = np.bincount(table.column("gender"), minlength=len(GENDERS))
        lines.append("bodies   " + ", ".join(f"{count} {name}" for name, count in zip(GENDERS, genders, strict=True)))
    return lines


def _joint_lines(table: PeopleTable) -> list[str]:
    labelled = table.column("joints_2d")[..., 2] > 0
    shares = 100 * labelled.mean(axis=0)
    names = table.joint_set.names
    width = max(map(len, names)) + 7
    cells = [f"{name} {share:.0f} %".ljust(width) for name, share in zip(names, shares, strict=True)]
    per_line = max(1, 110 // width)
    rows = ["".join(cells[start : start + per_line]).rstrip() for start in range(0, len(cells), per_line)]
    nobody = int((~labelled.any(axis=1)).sum())
    return [
        f"joints   {table.joint_set.name}, {len(names)} joints, share of people who have each:",
        *(f"         {row}" for row in rows),
        f"         {nobody} people have none, {int(labelled.all(axis=1).sum())} have all",
    ]


def _box_lines(table: PeopleTable) -> list[str]:
    boxes, sizes = table.column("box").astype(np.float64), table.column("image_size")
    outside = ((boxes[:, :2] < 0) | (boxes[:, :2] + boxes[:, 2:] > sizes)).any(axis=1)
    return [
        f"boxes    longer side in px: {quantiles(boxes[:, 2:].max(axis=1))}",
        f"         {100 * outside.mean():.1f} % reach out of the image (crops clip them first)",
        f"         image width in px: {quantiles(sizes[:, 0])}",
    ]


def _sample(table: PeopleTable) -> PeopleTable:
    if len(table) <= _SAMPLE:
        return table
    return table.select(np.linspace(0, len(table) - 1, _SAMPLE).astype(int))


def _unit_lines(table: PeopleTable) -> tuple[list[str], list[str]]:
    """Ranges of 2D and 3D joints, bone lengths, and how far projected 3D joints are from the 2D joints."""
    table = _sample(table)
    joints, sizes = table.column("joints_2d"), table.column("image_size")
    labelled = joints[..., 2] > 0
    lines: list[str] = []
    warnings: list[str] = []
    if labelled.any():
        points = joints[labelled][:, :2]
        outside = ((points < 0) | (points > np.broadcast_to(sizes[:, None], (*labelled.shape, 2))[labelled])).any(
            axis=1
        )
        low, high = points.min(axis=0), points.max(axis=0)
        lines.append(
            f"units    2D joints in px: x {low[0]:.1f} to {high[0]:.1f}, y {low[1]:.1f} to {high[1]:.1f}; "
            f"{100 * outside.mean():.1f} % out of the image"
        )
    if not table.has("joints_3d"):
        return lines, warnings
    joints_3d = table.column("joints_3d").astype(np.float64)
    known = joints_3d[..., 3] > 0
    if not known.any():
        return [*lines, "         3D joints: nobody has any"], warnings
    lines.append(f"         3D joints, depth in m: {quantiles(joints_3d[known][:, 2], 2)}")
    bones = _bone_lengths(table, joints_3d, known)
    if bones:
        shown = ", ".join(f"{name} {left:.3f} and {right:.3f}" for name, (left, right) in bones.items())
        lines.append(f"         bones in m (median, left and right): {shown}")
    lengths = [length for a, b in _LEG_BONES for length in bones.get(f"{a}-{b}", ())]
    if lengths and not all(_LEG_RANGE[0] < length < _LEG_RANGE[1] for length in lengths):
        warnings.append("legs are not as long as legs are: the 3D joints are not in metres, or not these joints")
    if table.has("focal"):
        error, share = _projection_errors(table, joints, joints_3d, labelled & known)
        if len(error):
            median, most = np.quantile(error, 0.5), np.quantile(error, 0.95)
            lines.append(f"         projected 3D joints lie {median:.2f} px (95 %: {most:.2f}) from the 2D joints")
            if np.median(share) > _PROJECTION_TOLERANCE:
                warnings.append("the 3D joints, seen by the camera, are not where the 2D joints are")
    return lines, warnings


def _bone_lengths(table: PeopleTable, joints: NDArray[Any], known: NDArray[Any]) -> dict[str, tuple[float, float]]:
    """Median length of each limb's bones by name, left and right, in metres."""
    index = {name: i for i, name in enumerate(table.joint_set.names)}
    found = {}
    for a, b in table.joint_set.bones:
        if not (a.startswith("left_") and b.startswith("left_")):
            continue
        pairs = [(index[a], index[b]), (index[mirror_name(a)], index[mirror_name(b)])]
        both = [known[:, i] & known[:, j] for i, j in pairs]
        if all(rows.any() for rows in both):
            left, right = (
                float(np.median(np.linalg.norm(joints[rows, i, :3] - joints[rows, j, :3], axis=-1)))
                for rows, (i, j) in zip(both, pairs, strict=True)
            )
            found[f"{a.removeprefix('left_')}-{b.removeprefix('left_')}"] = left, right
    return found


def _projection_errors(
    table: PeopleTable, joints: NDArray[Any], joints_3d: NDArray[Any], both: NDArray[Any]
) -> tuple[NDArray[Any], ...]:
    """(P,) distances of projected 3D joints to 2D joints in pixels, and in shares of the box."""
    both = both & (joints_3d[..., 2] > 0)
    depth = np.where(both, joints_3d[..., 2], 1.0)[..., None]
    points = joints_3d[..., :2] / depth * table.column("focal")[:, None] + table.column("princpt")[:, None]
    error = np.linalg.norm(points - joints[..., :2], axis=-1)
    side = table.column("box")[:, 2:].max(axis=1)[:, None]
    return error[both], (error / side)[both]


def _body_lines(table: PeopleTable) -> tuple[list[str], list[str]]:
    """Ranges of the SMPL parameters."""
    if not table.has("body_pose"):
        return [], []
    table = _sample(table)
    betas, depth = np.abs(table.column("betas")).max(axis=1), table.column("transl")[:, 2]
    lines = [
        f"SMPL     largest |beta|: {quantiles(betas, 2)}",
        f"         depth in m: {quantiles(depth, 2)}",
    ]
    if table.has("focal"):
        lines.append(f"         focal length in px: {quantiles(table.column('focal')[:, 0])}")
    behind = int((depth <= 0).sum())
    return lines, [f"{behind} of {len(table)} bodies lie behind the camera"] * bool(behind)
