"""Meshes as files: where they stand, how they are named, and each fault."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from numpy.typing import NDArray

from body_models.bodies import BodyModels, open_body
from body_models.parameters import BodyParameters
from datamodules.pseudo_gt.formats.exchange import project_points
from datamodules.pseudo_gt.formats.meshes import MESH_FORMATS, write_meshes
from datamodules.pseudo_gt.native import LabelError, LabelWriter, read_labels

MakeLabels = Callable[..., Path]
NEUTRAL = ["neutral"] * 6
# From glTF's axes to the camera's.
BACK = np.array([1.0, -1.0, -1.0])


def meshes_of(path: Path) -> dict[str, trimesh.Trimesh]:
    if path.suffix == ".glb":
        return trimesh.load_scene(path, process=False).geometry
    meshes, count = {}, 0
    for part in path.read_text().split("\no ")[1:]:
        name, *lines = part.splitlines()
        words = [line.split() for line in lines]
        vertices = [list(map(float, word[1:4])) for word in words if word[:1] == ["v"]]
        # Vertices are counted from 1 over the whole file.
        faces = [[int(corner) - 1 - count for corner in word[1:]] for word in words if word[:1] == ["f"]]
        meshes[name], count = trimesh.Trimesh(vertices, faces, process=False), count + len(vertices)
    return meshes


def expected_mesh(labels: Path, row: int) -> NDArray[Any]:
    """(V, 3) of a person under their own camera, in its axes."""
    columns = {name: values[row : row + 1] for name, values in read_labels(labels).columns.items()}
    return BodyModels().pose(BodyParameters.of_columns(columns)).vertices[0].numpy()


def seen(vertices: NDArray[Any], focal: Any, princpt: Any) -> NDArray[Any]:
    joints = open_body().joints_from_vertices(torch.tensor(vertices[None], dtype=torch.float32)).numpy()
    return project_points(joints, np.atleast_2d(focal), np.atleast_2d(princpt))[0]


@pytest.mark.parametrize("format", MESH_FORMATS)
def test_one_file_a_person(make_labels: MakeLabels, tmp_path: Path, format: str) -> None:
    labels = make_labels(gender=NEUTRAL)
    report = write_meshes(labels, format, tmp_path / "out", per="person")
    ids = read_labels(labels, ["id"]).columns["id"]
    assert (report.files, report.people) == (6, 6)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name.split('/')[2]}.{format}" for name in ids}
    (mesh,) = meshes_of(tmp_path / "out" / f"{ids[2].split('/')[2]}.{format}").values()
    np.testing.assert_allclose(mesh.vertices * BACK, expected_mesh(labels, 2), atol=1e-5)
    np.testing.assert_array_equal(mesh.faces, open_body().faces)


@pytest.mark.parametrize("format", MESH_FORMATS)
def test_people_of_an_image_stand_under_one_camera(make_labels: MakeLabels, tmp_path: Path, format: str) -> None:
    """Seen by the camera with the diagonal as focal length, they are where their own cameras saw them."""
    labels = make_labels(gender=NEUTRAL)
    report = write_meshes(labels, format, tmp_path / "out")
    assert (report.files, report.people) == (3, 6)
    columns = read_labels(labels).columns
    meshes = meshes_of(tmp_path / "out" / "train2017" / f"{1:012d}.{format}")
    assert list(meshes) == columns["id"][[1, 4]].tolist()
    for row in (1, 4):
        mesh = meshes[columns["id"][row]].vertices * BACK
        own = seen(expected_mesh(labels, row), columns["focal"][row], columns["princpt"][row])
        shared = seen(mesh, [800.0, 800.0], [320.0, 240.0])
        # Two cameras with other distances see a body a little differently, the more the deeper the body is.
        assert np.linalg.norm(own - shared, axis=1).max() < 0.045 * columns["box"][row, 3]
        assert mesh[:, 2].mean() < 20 < expected_mesh(labels, row)[:, 2].mean()
        # The same pose: nothing but a translation between them.
        np.testing.assert_allclose(np.ptp(mesh - expected_mesh(labels, row), axis=0), 0, atol=1e-4)


def test_a_camera_that_people_share_is_kept(make_labels: MakeLabels, tmp_path: Path) -> None:
    camera = {"focal": np.full((6, 2), 1234.0, np.float32), "princpt": np.full((6, 2), 200.0, np.float32)}
    labels = make_labels(gender=NEUTRAL, **camera)
    write_meshes(labels, "glb", tmp_path / "out")
    ids = read_labels(labels, ["id"]).columns["id"]
    mesh = meshes_of(tmp_path / "out" / "train2017" / f"{0:012d}.glb")[ids[3]]
    np.testing.assert_allclose(mesh.vertices * BACK, expected_mesh(labels, 3), atol=1e-5)


def test_a_glb_has_normals_and_a_colour_for_each(make_labels: MakeLabels, tmp_path: Path) -> None:
    labels = make_labels(gender=NEUTRAL)
    report = write_meshes(labels, "glb", tmp_path / "out", files=1)
    content = report.first.read_bytes()
    assert content[:4] == b"glTF" and b'"NORMAL"' in content
    colours = {tuple(mesh.visual.material.baseColorFactor) for mesh in meshes_of(report.first).values()}
    assert len(colours) == 2
    assert str(report).startswith("2 meshes in 1 files, 0.5 MB, such as ")


def test_genders_and_filters(make_labels: MakeLabels, tmp_path: Path) -> None:
    keep = np.array([False, True, False, False, False, False])
    report = write_meshes(make_labels(), "obj", tmp_path / "out", keep=keep)
    assert (report.files, report.people) == (1, 1)
    with pytest.raises(LabelError, match="nobody is left to write; loosen the filter"):
        write_meshes(tmp_path / "coco-train", "obj", tmp_path / "out", keep=np.zeros(6, dtype=bool))


def test_names_stay_within_the_folder_and_apart(make_labels: MakeLabels, tmp_path: Path) -> None:
    names = ["../../a.jpg", "/etc/b.jpg", "c.v1.jpg", "d.jpg", "d.png", ".."]
    labels = make_labels(gender=NEUTRAL)
    # Such names are in no table of ours; a table that somebody sends may have them.
    table = read_labels(labels).columns
    write_table(labels, {**table, "image": np.array(names, dtype=object)})
    write_meshes(labels, "obj", tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.obj")}
    assert found == {"a.obj", "etc/b.obj", "c.v1.obj", "d.jpg.obj", "d.png.obj", "_.obj"}


def write_table(folder: Path, columns: dict[str, Any]) -> None:
    shutil.rmtree(folder)
    with LabelWriter(folder, joint_set="coco17", image_root=None, provenance={}) as writer:
        writer.write(columns)


def test_what_is_missing_is_named(make_labels: MakeLabels, tmp_path: Path) -> None:
    labels = make_labels(image_size=None, gender=NEUTRAL)
    with pytest.raises(LabelError, match=r"has no column image_size, which meshes need; .* --per person"):
        write_meshes(labels, "glb", tmp_path / "out")
    assert write_meshes(labels, "glb", tmp_path / "out", per="person", files=2).files == 2
