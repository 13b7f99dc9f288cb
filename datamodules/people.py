"""PeopleTable: what every source becomes, one row a person, in original pixels, with a stable id.

The columns are those of the people table in :mod:`body_models.rows`; docs/rows.md lists them.

Id, image, image_size, box and joints_2d are in every table; a source has the others or not, for all its people:
:meth:`PeopleTable.has` says which. Within a column, a joint that is not known has confidence 0. A batch tells these
apart for each person:

============== ===========================================================================================
has_pose       the table has ``global_orient`` (then also ``body_pose`` and ``transl``)
has_betas      the table has ``betas``
has_camera     the table has ``focal`` (then also ``princpt``)
joints_3d_conf ``joints_3d``'s confidence, all 0 where the table has no such column; 2D alike
============== ===========================================================================================

A source may add columns of its own, which its named filters read. Texts are bytes, as file systems have them: a file
name that is not UTF-8 is a str with surrogate escapes in Python, and its own bytes here and on the disk.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from body_models.camera import BoxError, process_box
from body_models.joint_sets import JOINT_SETS, JointSet
from body_models.rows import forms, shape_of, sizes_of
from body_models.spec import SMPL, BodySpec
from datamodules.columns import Arrays, open_columns
from datamodules.files import AnnotationError, missing_files

# Texts, and the source's own columns, are kept as they come.
_FORMS = {name: form for name, form in forms("people").items() if form.dtype != "text"}
# Shares of the image may reach out of it a little; nobody is a pixel or two large.
_MIN_SHARE, _MAX_SHARE = -0.5, 1.5
# Rows of a column that are allocated at a time while a table is built.
_BLOCK = 4096


class PeopleTable:
    """Read-only rows of people over columns on disk; selecting rows copies nothing but row numbers.

    Args:
        folder: made by :func:`datamodules.columns.build_or_open`.
        rows: (N,) row numbers that this view shows, in order; all if None.
        left_out: people that this view leaves out, by reason.

    Attributes:
        name: ``dataset-split``.
        joint_set: the :class:`JointSet` of ``joints_2d`` and ``joints_3d``.
        image_root: folder that image paths start from.
        origin: name of the table whose people, boxes and images these are, row by row; its own, unless labels were
            attached. Caches of crops are shared by it.
        read_dropped: people that the reader dropped, by reason.
        left_out: people that this view leaves out, by reason.
        notes: what the reader found odd in the files, a sentence each; inspect, the dry run and the run show them.
        image_places: folders in which the reader looked for the images, where there are several.
    """

    def __init__(
        self, folder: str | Path, rows: NDArray[Any] | None = None, left_out: dict[str, int] | None = None
    ) -> None:
        self.folder = Path(folder)
        self.columns, meta = open_columns(self.folder)
        self.name: str = meta["name"]
        self.joint_set: JointSet = JOINT_SETS[meta["joint_set"]]
        self.image_root: str = meta["image_root"]
        self.origin: str = meta.get("origin", self.folder.name)
        self.read_dropped: dict[str, int] = meta["dropped"]
        self.notes: list[str] = meta.get("notes", [])
        self.image_places: list[str] = meta.get("image_places", [])
        self.left_out = dict(left_out or {})
        self.rows = np.arange(len(self.columns["id"])) if rows is None else rows

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers that are spawned map the same files, instead of getting the columns through a pipe.
        return PeopleTable, (self.folder, self.rows, self.left_out)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dropped(self) -> dict[str, int]:
        """People of the files that are not in this view, by reason."""
        return {**self.read_dropped, **self.left_out}

    def has(self, column: str) -> bool:
        """Whether the source knows this column."""
        return column in self.columns

    def column(self, name: str) -> NDArray[Any]:
        """(N, ...) copy of one column for the rows of this view."""
        return self.columns[name][self.rows]

    def ids(self) -> list[str]:
        """Ids of the people, in order."""
        return [value.decode() for value in self.column("id").tolist()]

    def groups(self) -> NDArray[np.bytes_]:
        """(N,) what belongs together: the sequence, or without sequences the image."""
        return self.column("sequence" if self.has("sequence") else "image")

    def select(self, keep: NDArray[Any], reason: str | None = None) -> PeopleTable:
        """View of some rows.

        Args:
            keep: (N,) bool mask, or row numbers within this view.
            reason: the name under which the rows left out are counted.
        """
        rows = self.rows[keep]
        left_out = dict(self.left_out)
        if reason is not None and len(rows) < len(self.rows):
            left_out[reason] = left_out.get(reason, 0) + len(self.rows) - len(rows)
        return PeopleTable(self.folder, rows, left_out)

    def labelled_joints(self, spec: BodySpec = SMPL) -> NDArray[Any]:
        """(N,) number of annotated 2D joints that have a counterpart on the body."""
        mapped = spec.rows(self.joint_set) >= 0
        return (self.column("joints_2d")[:, mapped, 2] > 0).sum(axis=1)

    def missing_images(self) -> tuple[NDArray[Any], list[Path]]:
        """(N,) bool mask of people whose image is not on disk, and those images, sorted."""
        images, inverse = np.unique(self.column("image"), return_inverse=True)
        missing = missing_files(self.image_root, images.tolist())
        return missing[inverse], [Path(self.image_root, os.fsdecode(images[i])) for i in np.flatnonzero(missing)]

    def where_images_were_looked_for(self) -> str:
        """The folders, for messages about images that are not there."""
        if not self.image_places:
            return self.image_root
        root = os.path.commonpath(self.image_places)
        return f"{root} and its folders " + ", ".join(
            os.path.relpath(place, root) for place in self.image_places if place != root
        )

    def why_nobody(self) -> str:
        """Why people are not in this view, for messages about views without anybody."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        return f"left out: {reasons}" if reasons else "the files hold nobody"


class _Column:
    """Values of one shape and type, kept in blocks: a few bytes more than the array, whatever the number."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._shape, self._dtype, self._blocks, self._free = shape, dtype, list[NDArray[Any]](), 0

    def append(self, value: NDArray[Any]) -> None:
        if not self._free:
            self._blocks.append(np.empty((_BLOCK, *self._shape), self._dtype))
            self._free = _BLOCK
        self._blocks[-1][-self._free] = value
        self._free -= 1

    def array(self) -> NDArray[Any]:
        """(N, ...) all values."""
        self._blocks[-1] = self._blocks[-1][: _BLOCK - self._free]
        return np.concatenate(self._blocks)


class PeopleBuilder:
    """Collects the rows of a table, checks each, and counts what is left out.

    Args:
        dataset: first part of the ids.
        split: second part of the ids.
        joint_set: of the rows' joints.
        image_root: folder that image paths start from.
        image_places: folders in which the images were looked for, where there are several.
        sizes: of the rows' bodies, by :func:`body_models.rows.sizes_of`, where they are not SMPL's.
    """

    def __init__(
        self, dataset: str, split: str, joint_set: JointSet, image_root: Path, image_places: Sequence[Path] = (),
        sizes: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.dataset, self.split, self.joint_set, self.image_root = dataset, split, joint_set, image_root
        self.image_places = list(image_places)
        self.dropped: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._notes: list[str] = []
        self._checked: dict[str, _Column] = {}
        # Texts and the source's own columns, as they come.
        self._others: dict[str, list[Any]] = {"id": []}
        self._seen: set[str] = set()
        sizes = {**sizes_of(SMPL, joint_set), **(sizes or {})}
        self._shapes = {name: shape_of(form, sizes) for name, form in _FORMS.items()}

    def drop(self, reason: str, count: int = 1, example: str = "") -> None:
        """Count people that are left out.

        Args:
            reason: why.
            count: how many.
            example: what was found with one of them; the first of a reason is shown where nobody is left.
        """
        if count:
            self.dropped[reason] += count
            self._examples.setdefault(reason, example)

    def note(self, text: str) -> None:
        """Keep a sentence about something odd in the files, to be shown to whoever uses the table; "" is none."""
        self._notes += [text] * bool(text)

    def add(self, key: object, *, image: str, image_size: ArrayLike, box: ArrayLike, **columns: Any) -> None:
        """Add a person, or count why not.

        Args:
            key: the data set's own key of the person.
            image: path below the image root.
            image_size: width, height in pixels.
            box: (4,) x, y, w, h in pixels.
            **columns: the same for all people of a table; names as in the module's docstring.

        Raises:
            AnnotationError: a value has the wrong shape.
        """
        person = f"{self.dataset}/{self.split}/{key}"
        if person in self._seen:
            return self.drop("id occurs twice")
        values = {"image_size": image_size, "box": box, **columns}
        for name, value in values.items():
            if name not in _FORMS:
                continue
            shape = self._shapes[name]
            try:
                # What is too large for float32 becomes infinite, and is counted below.
                with np.errstate(over="ignore"):
                    values[name] = value = np.asarray(value, dtype=_FORMS[name].dtype)
            except (TypeError, ValueError, OverflowError) as error:
                msg = f"person {person}: {name} is not numbers of shape {shape} ({error})"
                raise AnnotationError(msg) from error
            if value.shape != shape:
                msg = f"person {person}: {name} has shape {value.shape}, expected {shape}"
                raise AnnotationError(msg)
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                return self.drop(f"{name} is not finite")
        try:
            process_box(values["box"], tuple(values["image_size"]))
        except BoxError:
            (x, y, w, h), (width, height) = values["box"], values["image_size"]
            example = f"{person} has x {x:.4g}, y {y:.4g}, w {w:.4g}, h {h:.4g} in an image of {width} x {height}"
            return self.drop("box has no area inside the image", example=example)
        self._seen.add(person)
        self._others["id"].append(person)
        for name, value in {"image": image, **values}.items():
            if name not in _FORMS:
                self._others.setdefault(name, []).append(value)
                continue
            if name not in self._checked:
                self._checked[name] = _Column(self._shapes[name], np.dtype(_FORMS[name].dtype))
            self._checked[name].append(value)

    def finish(self) -> tuple[Arrays, dict[str, Any]]:
        """The columns, and what is stored with them; the arguments of ``build_or_open``'s ``build``.

        Raises:
            AnnotationError: nobody is left.
        """
        if not self._seen:
            examples = [f"{reason}: {example}" for reason, example in self._examples.items() if example]
            more = f"; for example {'; '.join(examples)}" if examples else ""
            msg = f"{self.dataset}/{self.split}: no person left; dropped: {dict(self.dropped) or 'none'}{more}"
            raise AnnotationError(msg)
        arrays = {name: column.array() for name, column in self._checked.items()}
        for name, values in self._others.items():
            if isinstance(values[0], str):
                values = [value.encode("utf-8", "surrogateescape") for value in values]
            arrays[name] = np.array(values)
        meta = {
            "name": f"{self.dataset}-{self.split}",
            "joint_set": self.joint_set.name,
            "image_root": str(Path(self.image_root).absolute()),
            "image_places": [str(place.absolute()) for place in self.image_places],
            "dropped": dict(self.dropped),
            "notes": [*self._notes, *_unit_notes(arrays)],
        }
        return arrays, meta


def _unit_notes(arrays: Arrays) -> list[str]:
    """What looks like shares of the image where pixels should be."""
    joints = arrays.get("joints_2d", np.zeros((0, 0, 3)))
    points = {"2D joints": joints[joints[..., 2] > 0][:, :2], "boxes": arrays["box"]}
    advice = "as if they were shares of the image, not pixels: multiply x by its width and y by its height"
    return [
        f"all {what} lie within {low:.2f} to {high:.2f}, {advice}"
        for what, values in points.items()
        if values.size and _MIN_SHARE < (low := values.min()) and (high := values.max()) < _MAX_SHARE
    ]


def turn_by(view: Rotation, rotvec: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) axis-angle turned by a camera's rotation; NaN, which a table counts, where it is not finite."""
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(np.linalg.norm(rotvec, axis=-1, keepdims=True))
    # scipy refuses the whole array for one of them.
    turned = (view * Rotation.from_rotvec(np.where(is_finite, rotvec, 0.0))).as_rotvec()
    return np.where(is_finite, turned, np.nan)


def hull_box(points: NDArray[Any], margin: float) -> NDArray[Any]:
    """(..., 4) x, y, w, h around points (..., K, 2) in pixels, widened about its centre by a factor."""
    low, high = points.min(axis=-2), points.max(axis=-2)
    # A box of infinite points is NaN, which a table counts.
    with np.errstate(over="ignore", invalid="ignore"):
        centre, size = (low + high) / 2, (high - low) * margin
        return np.concatenate([centre - size / 2, size], axis=-1)
