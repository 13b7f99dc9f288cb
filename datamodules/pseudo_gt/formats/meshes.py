"""Meshes of labelled people as files for Blender, browsers and other viewers: glTF's .glb, and Wavefront's .obj.

One file holds the people of an image, each an object with the person's id as name, or one person. Metres in the
camera's frame, turned to glTF's axes: x to the right, y up, the camera at the origin and looking along -z. Where the
people of an image have cameras of their own, they are moved, with the pose unchanged, under one camera, with the
image's diagonal as focal length: there they look the same and stand beside each other. Vertices keep the order of the
body model, without textures; a .glb has normals, and a colour for each person. Files are named after the image without
its ending, or after the data set's own key of the person, in folders where those have slashes. Meshes hold no pose and
no shape, so they are not read back. A mesh of SMPL's is under SMPL's licence, whatever its file is.
"""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.bodies import BodyModels
from body_models.parameters import BodyParameters
from datamodules.ids import PersonId
from datamodules.progress import show_progress
from datamodules.pseudo_gt.formats.cliff import image_centre
from datamodules.pseudo_gt.formats.exchange import BODY_COLUMNS, CAMERA_COLUMNS, fit_translation, project_points
from datamodules.pseudo_gt.native import Columns, LabelError, column_names, read_labels
from datamodules.writing import replacing

MESH_FORMATS = {
    "glb": "Blender, browsers, PowerPoint, Windows' 3D viewer: glTF 2.0 in one file",
    "obj": "nearly every 3D program: Wavefront's text",
}
"""Ending of a file -> who reads it."""
PER = ("image", "person")
_IMAGE_COLUMNS = ("image", "image_size")
# From the camera's axes (y down, z forward) to glTF's.
_TO_GLTF = np.array([1.0, -1.0, -1.0], dtype=np.float32)
# Golden ratio: neighbouring numbers get colours far apart.
_HUE_STEP = 0.618034


class Mesh(NamedTuple):
    """A person's mesh.

    Attributes:
        name: the person's id.
        vertices: (V, 3) metres, glTF's axes.
        faces: (F, 3) rows of vertices.
    """

    name: str
    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]


class MeshReport(NamedTuple):
    """What was written.

    Attributes:
        files: number of files.
        people: meshes in them.
        size: of all files in bytes.
        first: path of the first one.
    """

    files: int
    people: int
    size: int
    first: Path

    def __str__(self) -> str:
        return f"{self.people:,} meshes in {self.files:,} files, {self.size / 1e6:,.1f} MB, such as {self.first}"


def write_meshes(
    labels: str | Path,
    format: str,
    folder: str | Path,
    body_models: str = "free",
    keep: NDArray[np.bool_] | None = None,
    per: str = "image",
    files: int | None = None,
) -> MeshReport:
    """Write the meshes of a label table.

    Args:
        labels: folder of a native table in the camera's frame.
        format: one of :data:`MESH_FORMATS`.
        folder: to write into; files of the same names are replaced.
        body_models: the body that the labels belong to, a reference, see :mod:`body_models.bodies`.
        keep: (N,) mask of the people to write; None for all.
        per: what a file is of, one of :data:`PER`.
        files: at most so many, evenly chosen; None for all.

    Raises:
        LabelError: the table lacks what a mesh needs, or nobody is left.
    """
    columns = _read(labels, keep, per)
    groups = _groups(columns, per)
    chosen = list(groups)
    if files is not None and files < len(chosen):
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, files).astype(int)]
    bodies = BodyModels(body_models)
    people, size, paths = 0, 0, list[Path]()
    for name in show_progress(chosen, f"writing {format}"):
        rows = np.array(groups[name])
        meshes = _posed({key: values[rows] for key, values in columns.items()}, bodies)
        # Not with_suffix: a name may hold dots.
        path = Path(folder) / f"{name}.{format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(_encode(meshes, format))
        people, size = people + len(meshes), size + path.stat().st_size
        paths.append(path)
    return MeshReport(len(paths), people, size, paths[0])


def _read(labels: str | Path, keep: NDArray[np.bool_] | None, per: str) -> Columns:
    needed = ["id", *BODY_COLUMNS, *CAMERA_COLUMNS, *(_IMAGE_COLUMNS if per == "image" else [])]
    known = column_names(labels)
    missing = [name for name in needed if name not in known]
    if missing:
        msg = f"{labels} has no column {', '.join(missing)}, which meshes need; run the dump again, or use --per person"
        raise LabelError(msg)
    table = read_labels(labels, [*needed, *(["gender"] if "gender" in known else [])])
    if table.frame != "camera":
        msg = f"{labels} has bodies in the world of its data set; export the table of a camera"
        raise LabelError(msg)
    columns = {name: values if keep is None else values[keep] for name, values in table.columns.items()}
    if not len(columns["id"]):
        msg = f"{labels}: nobody is left to write; loosen the filter"
        raise LabelError(msg)
    columns.setdefault("gender", np.full(len(columns["id"]), "neutral", dtype=object))
    return columns


def _groups(columns: Columns, per: str) -> dict[str, list[int]]:
    """Name of a file without its ending -> the rows in it."""
    if per == "person":
        names = [PersonId.parse(name).key for name in columns["id"]]
    else:
        full = [str(name) for name in columns["image"]]
        stems = {name: PurePosixPath(name).with_suffix("").as_posix() for name in dict.fromkeys(full)}
        # Two images that differ by their ending keep it.
        counts = Counter(stems.values())
        names = [name if counts[stems[name]] > 1 else stems[name] for name in full]
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        groups.setdefault(_inside(name), []).append(row)
    return groups


def _inside(name: str) -> str:
    """A name from a file as a path that stays within its folder."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    return "/".join(parts).replace("\0", "_") or "_"


def _posed(people: Columns, bodies: BodyModels) -> list[Mesh]:
    """Meshes of the people in one file."""
    posed = bodies.pose(BodyParameters.of_columns(people).without_translation())
    transl = _under_one_camera(people, posed.joints.numpy())
    places = ((posed.vertices.numpy() + transl[:, None]) * _TO_GLTF).astype(np.float32)
    # Bodies of one kind have the same faces, whatever their gender.
    faces = bodies[str(people["gender"][0])].faces
    return [Mesh(str(name), vertices, faces) for name, vertices in zip(people["id"], places, strict=True)]


def _under_one_camera(people: Columns, joints: NDArray[Any]) -> NDArray[Any]:
    """(N, 3) metres: translations of people with joints (N, J, 3) under a camera that all of them share."""
    cameras = np.concatenate([people["focal"], people["princpt"]], axis=1)
    if (cameras == cameras[0]).all() or "image_size" not in people:
        return people["transl"]
    seen = project_points(joints + people["transl"][:, None], people["focal"], people["princpt"])
    size = people["image_size"].astype(np.float64)
    focal = np.repeat(np.hypot(size[:, :1], size[:, 1:]), 2, axis=1)
    return fit_translation(joints, seen, focal, image_centre(size))


def _encode(meshes: Sequence[Mesh], format: str) -> bytes:
    """Content of a file."""
    import trimesh  # here: it takes a second, and most commands write no meshes

    scene = trimesh.Scene()
    for number, (name, vertices, faces) in enumerate(meshes):
        # process=False: merging vertices would change their order.
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        colour = [round(255 * part) for part in colorsys.hsv_to_rgb(0.58 + number * _HUE_STEP, 0.35, 0.95)]
        material = trimesh.visual.material.PBRMaterial(
            baseColorFactor=[*colour, 255], metallicFactor=0.0, roughnessFactor=0.8
        )
        mesh.visual = trimesh.visual.TextureVisuals(material=material)
        scene.add_geometry(mesh, geom_name=name, node_name=name)
    options: dict[str, Any] = {"include_normals": True} if format == "glb" else {"include_texture": False}
    content = scene.export(file_type=format, **options)
    return content.encode() if isinstance(content, str) else bytes(content)
