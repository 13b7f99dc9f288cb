"""A person's row: every column of a people table, a label table and a batch, with its shape, type, unit and frame.

This is the one list of them. The readers' tables (:mod:`datamodules.people`), the label table
(:mod:`datamodules.pseudo_gt.native`) and the batch (:mod:`body_models.contracts`) take names, shapes and types from
here, and ``python -m experiments docs --only rows`` makes docs/rows.md and the table in docs/labels.md of it.

Shapes are numbers, or names of sizes: K joints of the data set, J body joints, R rotations besides the root's, S
numbers of shape (all three as the body's spec says), L numbers of a prior's code, H and W pixels of a crop. The first
axis, which counts the people, is not written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from body_models.joint_sets import JointSet
from body_models.spec import BodySpec

Place = Literal["people", "labels", "batch"]
Size = int | str


@dataclass(frozen=True)
class Form:
    """How a table holds a column.

    Attributes:
        shape: of one person.
        dtype: a NumPy type, or "text".
        name: of the column in this table, where it is not the schema's.
        note: what is special about this table's.
    """

    shape: tuple[Size, ...]
    dtype: str = "float32"
    name: str = ""
    note: str = ""


@dataclass(frozen=True)
class Column:
    """Something that is known of a person.

    Attributes:
        name: of the column.
        meaning: what it is.
        unit: of its numbers, "" for none.
        frame: whose axes or pixels they are in, "" for none.
        people: how a people table holds it, None: it does not.
        labels: likewise of a label table.
        batch: likewise of a batch.
    """

    name: str
    meaning: str
    unit: str = ""
    frame: str = ""
    people: Form | None = None
    labels: Form | None = None
    batch: Form | None = None

    def form(self, place: Place) -> Form | None:
        """How a table holds it."""
        return {"people": self.people, "labels": self.labels, "batch": self.batch}[place]


def _floats(*shape: Size, name: str = "", note: str = "") -> Form:
    return Form(shape, "float32", name, note)


def _whole(*shape: Size, dtype: str = "int32", note: str = "") -> Form:
    return Form(shape, dtype, "", note)


_TEXT = Form((), "text")
_FLAG, _POINT, _NUMBER = _floats(), _floats(2), _floats()
_WITH = "of `joint_set`; the last number is the confidence, 0 where unknown"

PERSON: tuple[Column, ...] = (
    Column("id", "`dataset/split/key`, once each, stable over runs; the key is the data set's own",
           people=_TEXT, labels=_TEXT, batch=_TEXT),
    Column("source", "name of the source in a mixture, e.g. `coco`", batch=_TEXT),
    Column("image", "path of the image below the table's `image_root`", people=_TEXT, labels=_TEXT,
           batch=Form((3, "H", "W"), "uint8", note="the crop itself, RGB")),
    Column("image_size", "width, height of the image", "pixels", "image",
           people=_whole(2), labels=_whole(2), batch=_floats(2)),
    Column("person_box", "x, y, w, h as annotated; crops widen it", "pixels", "image",
           people=_floats(4, name="box"), labels=_floats(4)),
    Column("box", "x, y, w, h of the square crop that the network sees, before augmentation", "pixels", "image",
           labels=_floats(4), batch=_floats(4)),
    Column("affine", "from the image to the crop, augmentation included", "pixels", "image to crop",
           batch=_floats(2, 3)),
    Column("joints_2d", "joints, x and y", "pixels", "image",
           people=_floats("K", 3, note=_WITH), labels=_floats("K", 3, note=_WITH),
           batch=_floats("J", 2, note="in the crop")),
    Column("joints_2d_conf", "confidence of `joints_2d`, 0 where unknown", batch=_floats("J")),
    Column("joints_3d", "joints, from any origin", "metres", "camera",
           people=_floats("K", 4, note=_WITH),
           batch=_floats("J", 3, note="the axes turn with the crop")),
    Column("joints_3d_conf", "confidence of `joints_3d`, 0 where unknown", batch=_floats("J")),
    Column("root_index", "body joint that 3D joints are compared relative to", batch=_whole(dtype="int64")),
    Column("global_orient", "rotation of the root, about the root joint, not the origin", "radians", "camera",
           people=_floats(3, note="axis-angle"), labels=_floats(3, note="axis-angle"),
           batch=_floats(3, 3, note="matrix; the axes turn with the crop")),
    Column("body_pose", "rotations of the other joints", "radians", "parent joint",
           people=_floats("3R", note="axis-angle"), labels=_floats("3R", note="axis-angle"),
           batch=_floats("R", 3, 3, note="matrices")),
    Column("betas", "shape of the body of `gender`", people=_floats("S"), labels=_floats("S"), batch=_floats("S")),
    Column("transl", "translation", "metres", "camera", people=_floats(3), labels=_floats(3),
           batch=_floats(3, note="of the original image, not augmented")),
    Column("gender", "of the body", people=_whole(dtype="uint8", note="index into contracts.GENDERS"),
           labels=Form((), "text", note="neutral, male or female"),
           batch=_whole(dtype="int64", note="index into contracts.GENDERS")),
    Column("has_pose", "1 where the pose is known", batch=_FLAG),
    Column("has_betas", "1 where the shape is known", batch=_FLAG),
    Column("focal", "focal lengths of the original image's camera", "pixels", "image",
           people=_POINT, labels=_POINT, batch=_POINT),
    Column("princpt", "principal point of the original image's camera", "pixels", "image",
           people=_POINT, labels=_POINT, batch=_POINT),
    Column("has_camera", "1 where focal and princpt (and transl, if has_pose) are known", batch=_FLAG),
    Column("camera_rotation", "world to camera", "", "world to camera", people=_floats(3, 3)),
    Column("camera_translation", "world to camera", "metres", "camera", people=_floats(3)),
    Column("sequence", "group: the video or take; without it each image is a group", people=_TEXT, labels=_TEXT),
    Column("frame", "time: number of the frame within its sequence", "frames", "", people=_whole(), labels=_whole()),
    Column("person", "number of the person within the sequence", people=_whole()),
    Column("camera", "number of the camera, where several film the same", people=_whole()),
    Column("latent", "code of the pose prior", labels=_floats("L")),
    Column("error_2d", "mean distance of the annotated joints from the body's; NaN where none is annotated",
           "crop widths", "image", labels=_NUMBER),
    Column("visible_joints", "annotated 2D joints that the error was measured on", labels=_whole()),
    Column("prior_score", "-log density of the pose under a Gaussian mixture; lower is more plausible",
           labels=_NUMBER),
    Column("limit_violations", "joint angles out of the anatomical range", labels=_whole()),
    Column("limit_excess_deg", "how far out of the range, summed", "degrees", "", labels=_NUMBER),
    Column("max_abs_beta", "largest absolute shape coefficient", labels=_NUMBER),
    Column("mirror_disagreement", "mean root-relative joint distance to the mirrored prediction of the mirrored crop",
           "mm", "camera", labels=_NUMBER),
    Column("evidence", "what the label rests on: `image`, `joints` or `both`; of a person without any joint `image` in "
           "place of `both`, and `nothing` in place of `joints`", labels=_TEXT),
    Column("refinement", "none, accepted or rejected", labels=_TEXT),
    Column("views", "cameras that were fused", labels=_whole()),
    Column("view_disagreement", "mean distance of the views from the fused body", "mm", "world", labels=_NUMBER),
)  # fmt: skip
"""Every column, in the order in which tables show them."""


def forms(place: Place) -> dict[str, Form]:
    """Name -> form of the columns of a table, by the names that they have there."""
    return {form.name or column.name: form for column, form in _of(place)}


def _of(place: Place) -> Iterator[tuple[Column, Form]]:
    for column in PERSON:
        form = column.form(place)
        if form is not None:
            yield column, form


def sizes_of(spec: BodySpec, joint_set: JointSet | None = None) -> dict[str, int]:
    """The sizes that shapes name, of a kind of body and, for K, a joint set."""
    sizes = {"J": len(spec.body_joints), "R": spec.num_rotations, "3R": 3 * spec.num_rotations, "S": spec.shape_size}
    return sizes if joint_set is None else {**sizes, "K": len(joint_set.names)}


def shape_of(form: Form, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of one person in numbers."""
    return tuple(size if isinstance(size, int) else sizes[size] for size in form.shape)


def fits(form: Form, shape: tuple[int, ...], sizes: Mapping[str, int]) -> bool:
    """Whether one person's values of a shape can be such a column's; sizes that are not known may be any."""
    wanted = (sizes.get(size) if isinstance(size, str) else size for size in form.shape)
    return len(shape) == len(form.shape) and all(
        found > 0 and size in (found, None) for found, size in zip(shape, wanted, strict=True)
    )


def shape_text(form: Form) -> str:
    """The shape in letters: ``K x 3``, "" for single values."""
    return " x ".join(size if size != "3R" else "3 R" for size in map(str, form.shape))


def markdown(place: Place) -> list[str]:
    """The columns of a table as a Markdown table."""
    lines = ["| column | shape | type | unit | frame | content |", "|---|---|---|---|---|---|"]
    for column, form in _of(place):
        meaning = f"{column.meaning} ({form.note})" if form.note else column.meaning
        dtype = form.dtype if form.dtype == "text" else str(np.dtype(form.dtype))
        cells = (form.name or column.name, shape_text(form), dtype, column.unit, column.frame, meaning)
        lines.append("| " + " | ".join(cells) + " |")
    return lines
