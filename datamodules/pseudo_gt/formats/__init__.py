"""Every layout of pseudo-GTs that is written and read, and the check that follows each export.

How exactly a file says where the body is on the image depends on the camera that its layout has:

* ``free`` principal point: the annotator's own camera, joints come back to 0.1 px;
* ``image centre`` or ``weak perspective``: a best-fit camera, pose unchanged; the residual is reported;
* ``none``: pose, shape, box and joints come back to 1e-6;
* ``world``: pose, shape and translation in the data set's world come back to 1e-6;
* ``meshes`` have no pose and shape, and are not read.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from body_models.rotations import axis_angle_to_matrix
from datamodules.exposure import entries, read_exposure
from datamodules.ids import PersonId
from datamodules.pseudo_gt.formats.bedlam import read_bedlam, write_bedlam
from datamodules.pseudo_gt.formats.cliff import image_centre, read_cliff, write_cliff
from datamodules.pseudo_gt.formats.coco_smpl import read_coco_smpl, write_coco_smpl
from datamodules.pseudo_gt.formats.eft import read_eft, write_eft
from datamodules.pseudo_gt.formats.exchange import LabelBlocks, Published, pose_of, project_points
from datamodules.pseudo_gt.formats.hmr2 import read_hmr2, read_hmr2_tar, write_hmr2, write_hmr2_tar
from datamodules.pseudo_gt.formats.humandata import read_humandata, write_humandata
from datamodules.pseudo_gt.formats.meshes import MESH_FORMATS, write_meshes
from datamodules.pseudo_gt.formats.neuralannot import read_neuralannot, write_neuralannot
from datamodules.pseudo_gt.formats.neuralannot_mocap import read_neuralannot_mocap, write_neuralannot_mocap
from datamodules.pseudo_gt.formats.spin import read_spin, read_spin_fits, write_spin, write_spin_fits
from datamodules.pseudo_gt.native import JOINTS, Columns, LabelError, iter_labels, read_provenance
from datamodules.terms import KEY, terms_of
from datamodules.writing import write_json

Camera = Literal["free", "image centre", "weak perspective", "none", "world"]
CHECKED_PEOPLE = 2000
MAX_PIXELS = 0.1
MAX_DIFFERENCE = 1e-6
LARGE_BETA = 3.0


@dataclass(frozen=True)
class Format:
    """A layout of pseudo-GTs.

    Attributes:
        description: who reads it, in a line.
        file: what the path is.
        camera: as in the module's docstring.
        write: of (labels, path); returns the number of people.
        read: of (path, dataset, split).
        name: usual name of the file beside a label table.
    """

    description: str
    file: str
    camera: Camera
    write: Callable[[LabelBlocks, Path], int]
    read: Callable[[str | Path, str, str], Published]
    name: str


FORMATS: dict[str, Format] = {
    "neuralannot": Format(
        "NeuralAnnot and Three Recipes, in-the-wild sets: Hand4Whole, Pose2Pose, 3DCrowdNet",
        "json", "free", write_neuralannot, read_neuralannot, "neuralannot.json",
    ),
    "neuralannot_mocap": Format(
        "NeuralAnnot, MoCap sets: one body a frame in the world, from a -world table",
        "json; Human3.6M: folder of json", "world", write_neuralannot_mocap, read_neuralannot_mocap,
        "neuralannot_mocap.json",
    ),
    "spin": Format("SPIN, PARE, VIBE and their family", "npz", "none", write_spin, read_spin, "spin.npz"),
    "spin_fits": Format(
        "SPIN's static fits, with the data set's npz beside them", "npy + npz", "none", write_spin_fits,
        read_spin_fits, "spin_fits.npy",
    ),
    "cliff": Format("CLIFF's pseudo-GTs", "npz", "image centre", write_cliff, read_cliff, "cliff.npz"),
    "eft": Format("EFT, mmhuman3d's converter", "json", "weak perspective", write_eft, read_eft, "eft.json"),
    "hmr2": Format("4D-Humans (HMR2.0), TokenHMR: data sets", "npz", "none", write_hmr2, read_hmr2, "hmr2.npz"),
    "hmr2_tar": Format(
        "4D-Humans (HMR2.0), TokenHMR: training shards with the images", "folder of tar", "none", write_hmr2_tar,
        read_hmr2_tar, "hmr2_tars",
    ),
    "bedlam": Format("BEDLAM, CameraHMR", "npz", "free", write_bedlam, read_bedlam, "bedlam.npz"),
    "humandata": Format("mmhuman3d, SMPLer-X", "npz", "free", write_humandata, read_humandata, "humandata.npz"),
    "coco_smpl": Format(
        "COCO's layout with smpl_param and cam_param: I2L-MeshNet, HybrIK and others", "json", "free",
        write_coco_smpl, read_coco_smpl, "coco_smpl.json",
    ),
}  # fmt: skip
"""Name -> layout; the names are the choices of ``dump.formats``."""


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote, and what reading it back found.

    Attributes:
        format: name of the layout.
        path: of the file or folder.
        people: written.
        checked: people that were read back and compared.
        median_px, max_px: distance of the re-projected body joints, full image; None without a camera.
        max_difference: largest difference of rotation matrices, shape, and (without a camera) box and joints or
            translation.
        large_betas: people with a |beta| above 3, whose shape several readers reset.
        too_inexact: whether the file is less exact than its layout allows.
    """

    format: str
    path: Path
    people: int
    checked: int
    median_px: float | None
    max_px: float | None
    max_difference: float
    large_betas: int
    too_inexact: bool

    def lines(self) -> list[str]:
        """The report for people."""
        camera = FORMATS[self.format].camera
        lines = [f"{self.path}: {self.people:,} people as {self.format}"]
        checked = "all" if self.checked == self.people else f"{self.checked:,} of them, evenly chosen,"
        if self.median_px is None:
            lines.append(
                f"  {checked} read back: pose, shape, {'translation' if camera == 'world' else 'box and joints'} "
                f"differ by at most {self.max_difference:.1e} (no camera in this layout)"
            )
        else:
            lines.append(
                f"  {checked} read back and re-projected: median {self.median_px:.4f} px, maximum {self.max_px:.4f} px "
                f"on the full image (camera: {camera}); pose and shape differ by at most {self.max_difference:.1e}"
            )
        if self.large_betas:
            lines.append(
                f"  warning: {self.large_betas:,} people have a |beta| above 3. It is written as it is; several "
                "readers (4D-Humans among them) reset such a shape"
            )
        return lines


def export_labels(
    labels: str | Path,
    format: str,
    path: str | Path,
    body_models: str = "free",
    keep: NDArray[np.bool_] | None = None,
) -> ExportReport:
    """Write a label table in another layout, read it back, and compare both.

    Args:
        labels: folder of a native table.
        format: one of :data:`FORMATS`.
        path: of the file or folder to write.
        body_models: reference of the bodies that the labels belong to.
        keep: (N,) mask of the people to write; None for all.

    Raises:
        LabelError: the format is unknown, the table lacks what it needs, or what was written does not come back as
            exactly as the layout allows.
    """
    if format not in FORMATS:
        msg = f"unknown format {format!r}: one of {', '.join(FORMATS)}"
        raise LabelError(msg)
    if keep is not None and not keep.any():
        msg = f"{labels}: nobody is left to write; loosen the filter"
        raise LabelError(msg)
    blocks = LabelBlocks(labels, body_models, keep)
    layout = FORMATS[format]
    people = layout.write(blocks, Path(path))
    report = _compare(blocks, format, Path(path), people, keep)
    if report.too_inexact:
        msg = "\n".join(["what was written does not come back as exactly as its layout allows:", *report.lines()])
        raise LabelError(msg)
    _write_terms(Path(labels), Path(path))
    return report


def _write_terms(labels: Path, path: Path) -> None:
    """Beside an export ``<name>.terms.json``: the layouts are those of others and have no place for terms.

    It names the body and the data sets that the labels were made with, each with its licence, and what the annotator
    was trained on.
    """
    provenance = read_provenance(labels)["provenance"]
    exposure = read_exposure(provenance)
    own = PersonId.parse(str(next(iter_labels(labels, rows=1, columns=["id"]))["id"][0])).table
    # Tables from before do not hold terms, and none of them is on the free body.
    body = "standin" if provenance.get("standin_body") is True else "smpl"
    terms = provenance.get(KEY) or terms_of(body, {own, *exposure.seen})
    write_json(path.with_name(f"{path.name}.terms.json"), {KEY: terms, **entries(exposure)})


def read_published(path: str | Path, format: str, dataset: str, split: str) -> Published:
    """People of a published file.

    Args:
        path: of the file or folder.
        format: one of :data:`FORMATS`.
        dataset: first part of the ids.
        split: second part of the ids.

    Raises:
        LabelError: the format is unknown, or the file is not in it.
    """
    if format not in FORMATS:
        msg = f"unknown format {format!r}: one of {', '.join(FORMATS)}"
        raise LabelError(msg)
    if not Path(path).exists():
        msg = f"{path}: there is no such file or folder"
        raise LabelError(msg)
    # Numbers of the file are finite; what is made of very large ones may not be, which is refused below.
    with np.errstate(over="ignore", invalid="ignore"):
        published = FORMATS[format].read(path, dataset, split)
    for name, values in published.columns.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            msg = f"{path}: the numbers that make {name} are too large to be true"
            raise LabelError(msg)
    return published


def complete_camera(columns: Columns, camera: Camera, image_size: NDArray[Any]) -> None:
    """Add the principal point of an image-centred camera, which needs the images' sizes (N, 2), to columns."""
    if camera == "image centre" and "focal" in columns:
        columns["princpt"] = image_centre(image_size).astype(np.float32)


def _compare(labels: LabelBlocks, format: str, path: Path, people: int, keep: NDArray[np.bool_] | None) -> ExportReport:
    layout = FORMATS[format]
    rows = np.unique(np.linspace(0, people - 1, min(people, CHECKED_PEOPLE)).astype(np.int64))
    written, large = _rows_of(labels, rows, keep)
    dataset, split, _ = PersonId.parse(written["id"][0])
    published = layout.read(path, dataset, split)
    places = rows
    if "id" in published.columns:
        place = {name: i for i, name in enumerate(published.columns["id"])}
        places = np.array([place.get(name, -1) for name in written["id"]])
        if (places < 0).any():
            msg = f"{path}: person {written['id'][np.argmin(places)]} was written but does not come back"
            raise LabelError(msg)
    elif len(published.columns["betas"]) != people:
        msg = f"{path}: {people} people were written, {len(published.columns['betas'])} come back"
        raise LabelError(msg)
    found = {name: values[places] for name, values in published.columns.items()}

    # Rotations, not their axis-angle: a half turn has two of those.
    difference = float(np.abs(_rotations(found) - _rotations(written)).max())
    for name in ("betas", *{"none": ["box"], "world": ["transl"]}.get(layout.camera, [])):
        difference = max(difference, float(np.abs(found[name] - written[name]).max()))
    if layout.camera == "none" and JOINTS in written:
        difference = max(difference, _joint_difference(labels, written, found, format))
    median = largest = None
    if layout.camera not in ("none", "world"):
        complete_camera(found, layout.camera, written.get("image_size", np.zeros((len(rows), 2))))
        pixels = np.linalg.norm(_seen(labels, written) - _seen(labels, {**written, **found}), axis=-1)
        median, largest = float(np.median(pixels)), float(pixels.max())
    too_far = layout.camera == "free" and largest is not None and not largest < MAX_PIXELS
    too_inexact = too_far or not difference <= MAX_DIFFERENCE
    return ExportReport(format, path, people, len(rows), median, largest, difference, large, too_inexact)


def _rows_of(labels: LabelBlocks, rows: NDArray[Any], keep: NDArray[np.bool_] | None) -> tuple[Columns, int]:
    """Columns of some of the rows that were written, and how many of all have a large |beta|."""
    wanted = ["id", "global_orient", "body_pose", "betas", "transl", "focal", "princpt", "box", "image_size", JOINTS]
    parts: list[Columns] = []
    start, large = 0, 0
    for block in iter_labels(labels.folder, columns=labels.present([*wanted, "gender"]), keep=keep):
        count = len(block["id"])
        large += int((np.abs(block["betas"]).max(axis=1) > LARGE_BETA).sum())
        mine = rows[(rows >= start) & (rows < start + count)] - start
        if len(mine):
            parts.append({name: values[mine] for name, values in block.items()})
        start += count
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns.setdefault("gender", np.full(len(rows), "neutral", dtype=object))
    return columns, large


def _rotations(columns: Columns) -> NDArray[np.float64]:
    pose = torch.tensor(pose_of(columns), dtype=torch.float64).unflatten(1, (-1, 3))
    return axis_angle_to_matrix(pose).numpy()


def _seen(labels: LabelBlocks, columns: Columns) -> NDArray[np.float64]:
    joints = labels.body_joints(columns) + columns["transl"][:, None]
    return project_points(joints, columns["focal"], columns["princpt"])


def _joint_difference(labels: LabelBlocks, written: Columns, found: Columns, format: str) -> float:
    expected = labels.spin_joints(written, len(written["id"]))
    if format.startswith("hmr2"):
        expected[:, 44:] = 0  # joints that the layout has no place for
    return float(np.abs(found[JOINTS] - expected).max())


def _rows() -> list[tuple[str, str, str, str]]:
    """Name, kind of file, camera and readers of each format."""
    rows = [(name, one.file, str(one.camera), one.description) for name, one in FORMATS.items()]
    return rows + [(name, f"folder of {name}", "meshes", readers) for name, readers in MESH_FORMATS.items()]


def list_formats() -> str:
    """A table of the formats: name, kind of file, camera, who reads it."""
    rows = [("format", "file", "camera", "read by"), *_rows()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        "  ".join([*(text.ljust(n) for text, n in zip(row, widths, strict=False)), row[3]]) for row in rows
    )


def schemas() -> str:
    """docs/formats.md: the table above, and what each module says about its layout."""
    lines = [
        "# Formats of pseudo-GTs",
        "",
        "Written by `python -m experiments export LABELS --format F --out PATH`, read by",
        "`python -m experiments import-labels FILE --format F --out LABELS`. This page is what",
        "`python -m experiments export --list --markdown` prints; a test holds it to that. The native table:",
        "[labels.md](labels.md).",
        "",
        "| format | file | camera | read by |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in _rows()),
        "",
        docstring_markdown(inspect.cleandoc(__doc__ or "").split("\n\n", 1)[1]),
    ]
    by_module: dict[str, list[str]] = {}
    for name, one in FORMATS.items():
        by_module.setdefault(one.write.__module__, []).append(name)
    by_module[write_meshes.__module__] = list(MESH_FORMATS)
    for module, names in by_module.items():
        text = inspect.cleandoc(sys.modules[module].__doc__ or "")
        lines += ["", f"## {', '.join(names)}", "", docstring_markdown(text)]
    return "\n".join(lines)


def docstring_markdown(text: str) -> str:
    """A docstring as Markdown: its tables, which are aligned by spaces, are fenced, and its roles are code."""
    lines, fenced = [], False
    for line in text.replace("``", "`").splitlines():
        ruler = line.startswith("===")
        if ruler and not fenced:
            lines.append("```text")
            fenced = True
        if fenced and not line:
            lines.append("```")
            fenced = False
        lines.append(re.sub(r":(?:mod|class|func):`(.*?)`", r"`\1`", line))
    return "\n".join([*lines, "```"] if fenced else lines)
