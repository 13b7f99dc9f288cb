"""Small honest files of every layout, and the reader of each."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat
from scipy.sparse import csc_matrix
from torch import nn

from body_models.free_body.arrays import free_body_arrays, free_body_regressors
from body_models.joint_sets import COCO17, CROWDPOSE14
from body_models.model_files import read_model_files
from body_models.safe_pickle import load_pickle
from datamodules.crops import read_image
from datamodules.files import check_image, image_size
from datamodules.pseudo_gt.formats import FORMATS
from datamodules.pseudo_gt.formats.exchange import LabelBlocks
from datamodules.pseudo_gt.native import LabelWriter, read_labels
from datamodules.sources.amass import open_amass
from datamodules.sources.cmu_asf_amc import open_cmu
from datamodules.sources.coco import open_coco
from datamodules.sources.crowdpose import open_crowdpose
from datamodules.sources.detections import open_detections
from datamodules.sources.emdb import open_emdb
from datamodules.sources.human36m import open_human36m
from datamodules.sources.label_table import open_pseudo_gt
from datamodules.sources.lspet import open_lspet
from datamodules.sources.mpi_inf_3dhp import open_mpi_inf_3dhp
from datamodules.sources.mpii import open_mpii
from datamodules.sources.threedpw import open_threedpw
from datamodules.writing import write_json
from lightning_modules.weights.checkpoints import load_weights
from tests.support.detections import TOOLS, write_images
from tests.support.emdb_files import write_emdb
from tests.support.fuzzing import Reader


@dataclass(frozen=True)
class Layout:
    """A layout: what makes its files and opens them.

    Attributes:
        open: (root, cache) -> what is read.
        patterns: of the files below the root that are damaged.
        fixture: that writes the files and returns the root, or None.
        write: writes the files into a root, where there is no fixture.
        harmless: whether harmless changes are tried; the result has to be a people table.
    """

    open: Callable[[Path, str], Any]
    patterns: tuple[str, ...]
    fixture: str | None = None
    write: Callable[[Path], None] | None = None
    harmless: bool = False


def make_reader(name: str, request: pytest.FixtureRequest, root: Path) -> Reader:
    """Write the files of a layout and say how they are read."""
    layout = LAYOUTS[name]
    if layout.fixture:
        root = request.getfixturevalue(layout.fixture)
    else:
        assert layout.write is not None
        root.mkdir()
        layout.write(root)
    found = [path for pattern in layout.patterns for path in sorted(root.glob(pattern))]
    files = [file for path in found for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    assert files, f"{name}: the layout has no file to damage"
    return Reader(name, files, lambda cache: layout.open(root, cache))


SIZE = (320, 240)
_RNG = np.random.default_rng(0)


def _image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), _RNG.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8))


def _person(number: int, image: int, joints: int) -> dict[str, Any]:
    """A COCO-style annotation."""
    points = np.column_stack([_RNG.uniform(20, 200, (joints, 2)), np.ones(joints)])
    person = {"id": number, "image_id": image, "bbox": [10.0, 20.0, 150.0, 160.0], "category_id": 1, "iscrowd": 0}
    return {**person, "keypoints": points.ravel().tolist(), "num_keypoints": joints}


def _images(names: list[str], **more: Any) -> list[dict[str, Any]]:
    return [{"id": i, "file_name": name, "width": SIZE[0], "height": SIZE[1], **more} for i, name in enumerate(names)]


def _joints_3d(count: int) -> np.ndarray:
    """World millimetres about the origin."""
    return _RNG.uniform(-500, 500, (count, 3))


def _write_wholebody(root: Path) -> None:
    people = []
    for i in range(4):
        person = _person(100 + i, i // 2, 17)
        feet = {"foot_kpts": _RNG.uniform(10, 200, 18).tolist(), "foot_valid": bool(i % 2)}
        people.append({**person, **feet, "face_kpts": [0.0] * 204, "face_valid": False})
    content = {"images": _images(["0.jpg", "1.jpg"]), "annotations": people, "categories": [{"id": 1}]}
    write_json(root / "coco_wholebody_train_v1.0.json", content)


def _write_named(root: Path) -> None:
    """Joints in an order of their own, two categories of people, one of things, ids as text, scores."""
    orders = [COCO17.names[::-1], CROWDPOSE14.names]
    categories: list[dict[str, Any]] = [
        {"id": i, "name": name, "keypoints": list(orders[i]), "skeleton": [[1, 2]]}
        for i, name in enumerate(("person", "player"))
    ]
    people = [{**_person(i, i // 2, len(orders[i % 2])), "category_id": i % 2} for i in range(4)]
    people[0]["keypoints"][2::3] = [0.3] * 17
    content = {
        "images": _images(["0.jpg", "1.jpg"]),
        "annotations": [*people, {"id": "x", "image_id": "1", "category_id": 7}],
        "categories": [*categories, {"id": 7, "name": "car"}],
    }
    write_json(root / "person_keypoints_train2017.json", content)


def _write_mpii_coco(root: Path) -> None:
    people = [_person(i, i // 2, 16) for i in range(4)]
    write_json(root / "train.json", {"images": _images(["images/0.jpg", "images/1.jpg"]), "annotations": people})


def _write_mpii_hrnet(root: Path) -> None:
    people = []
    for i in range(4):
        _image(root / "images" / f"{i // 2}.jpg")
        joints = _RNG.uniform(10, 200, (16, 2)).tolist()
        person = {"image": f"{i // 2}.jpg", "center": [100.0, 100.0], "scale": 1.0, "joints": joints}
        people.append({**person, "joints_vis": [1] * 16})
    write_json(root / "trainval.json", people)


def _write_crowdpose(root: Path) -> None:
    people = [_person(i, i // 2, 14) for i in range(4)]
    write_json(root / "json" / "crowdpose_train.json", {"images": _images(["0.jpg", "1.jpg"]), "annotations": people})


def _write_lspet(root: Path) -> None:
    joints = np.ones((14, 3, 3))
    joints[:, :2] = _RNG.uniform(10, 200, (14, 2, 3))
    for i in range(3):
        _image(root / "images" / f"im{i + 1:05d}.jpg")
    savemat(root / "joints.mat", {"joints": joints})


def _write_human36m(root: Path) -> None:
    for subject in (9, 11):
        more = {"subject": subject, "action_idx": 2, "subaction_idx": 1, "cam_idx": 4, "frame_idx": 64}
        data = {"images": _images(["a/0.jpg"], **more), "annotations": [_person(5, 0, 17)]}
        camera = {"R": np.eye(3).tolist(), "t": [0.0, 0.0, 4000.0], "f": [300.0, 300.0], "c": [160.0, 120.0]}
        joints = {"2": {"1": {"64": _joints_3d(17).tolist()}}}
        fits = {"2": {"1": {"64": {"pose": [0.1] * 72, "shape": [0.0] * 10, "trans": [0.0, 0.0, 0.0]}}}}
        for kind, content in (
            ("data", data), ("camera", {"4": camera}), ("joint_3d", joints), ("SMPL_NeuralAnnot", fits)
        ):  # fmt: skip
            write_json(root / "annotations" / f"Human36M_subject{subject}_{kind}.json", content)


def _write_threedpw_json(root: Path) -> None:
    images = [
        {**image, "sequence": "walk_00", "frame_idx": i, "cam_param": {
            "focal": [300.0, 300.0], "princpt": [160.0, 120.0], "R": np.eye(3).tolist(), "t": [0.0, 0.0, 1.0]}}
        for i, image in enumerate(_images(["image_00000.jpg", "image_00001.jpg"]))
    ]  # fmt: skip
    people = [
        {**_person(i, i, 17), "person_id": 0, "joint_cam": (_joints_3d(24) / 1000 + [0, 0, 4]).tolist(),
         "smpl_param": {"pose": [0.1] * 72, "shape": [0.0] * 10, "trans": [0.0, 0.0, 4.0], "gender": "male"}}
        for i in range(2)
    ]  # fmt: skip
    write_json(root / "3DPW_train.json", {"images": images, "annotations": people})


def _write_mpi_inf_3dhp_json(root: Path) -> None:
    camera = {"R": np.eye(3).tolist(), "t": [0.0, 0.0, 3000.0], "focal": [300.0, 300.0], "princpt": [160.0, 120.0]}
    images = [
        {**image, "subject_idx": 1, "seq_idx": 2, "frame_idx": 5 * i, "cam_idx": 0}
        for i, image in enumerate(_images(["0.jpg", "1.jpg"]))
    ]
    joints = {"1": {"2": {"0": _joints_3d(17).tolist(), "5": _joints_3d(17).tolist()}}}
    people = [{"id": i, "image_id": i, "bbox": [10.0, 20.0, 150.0, 160.0]} for i in range(2)]
    contents = {
        "1k": {"images": images, "annotations": people},
        "joint_3d": joints,
        "camera_1k": {"1": {"2": {"0": camera}}},
    }
    for name, content in contents.items():
        write_json(root / f"MPI-INF-3DHP_{name}.json", content)


def _write_mpi_inf_3dhp_test(root: Path) -> None:
    take = root / "TS1"
    joints = np.stack([_joints_3d(17) for _ in range(3)])[:, None] + np.array([0, 0, 3500])
    points = joints[..., :2] / joints[..., 2:] * 300 + [160, 120]
    for i in range(3):
        _image(take / "imageSequence" / f"img_{i + 1:06d}.jpg")
    with h5py.File(take / "annot_data.mat", "w") as file:
        file["annot2"], file["annot3"], file["univ_annot3"] = points, joints, joints
        file["valid_frame"], file["activity_annotation"] = np.ones((3, 1)), np.full((3, 1), 2.0)


def _labels(root: Path) -> dict[str, Any]:
    names = [f"coco/train/{i}" for i in range(4)]
    _image(root / "0.jpg")
    return {
        "id": names, "image": ["0.jpg"] * 4, "image_size": np.tile(SIZE, (4, 1)),
        "person_box": np.tile([10, 20, 150, 160], (4, 1)), "box": np.tile([10, 20, 150, 150], (4, 1)),
        "joints_2d": _RNG.uniform(10, 200, (4, 17, 3)), "global_orient": np.zeros((4, 3)),
        "body_pose": _RNG.normal(0, 0.3, (4, 69)), "betas": np.zeros((4, 10)), "transl": np.tile([0, 0, 4.0], (4, 1)),
        "gender": ["neutral"] * 4, "focal": np.full((4, 2), 300.0), "princpt": np.full((4, 2), 120.0),
    }  # fmt: skip


def _write_labels(root: Path) -> None:
    with LabelWriter(root, joint_set="coco17", image_root=str(root), provenance={"run": "x"}) as writer:
        writer.write(_labels(root))


def _write_published(name: str) -> Callable[[Path], None]:
    """Writes a file of a published layout, from a small label table."""

    def write(root: Path) -> None:
        world = FORMATS[name].camera == "world"
        columns = _world_labels() if world else _labels(root)
        with LabelWriter(
            root / "labels",
            joint_set=None if world else "coco17",
            image_root=str(root),
            provenance={},
            frame="world" if world else "camera",
        ) as writer:
            writer.write(columns)
        FORMATS[name].write(LabelBlocks(root / "labels"), root / FORMATS[name].name)

    return write


def _world_labels() -> dict[str, Any]:
    return {
        "id": [f"human36m/train/S1/act_02_subact_01/{i}" for i in range(3)], "global_orient": np.zeros((3, 3)),
        "body_pose": np.zeros((3, 69)), "betas": np.zeros((3, 10)), "transl": np.zeros((3, 3)),
        "gender": ["neutral"] * 3, "sequence": ["act_02_subact_01"] * 3, "frame": np.arange(3), "views": np.ones(3),
    }  # fmt: skip


def _write_detections(name: str) -> Callable[[Path], None]:
    """Writes the photographs and a tool's files about them."""

    def write(root: Path) -> None:
        write_images(root)
        TOOLS[name][0](root)

    return write


def _write_pictures(root: Path) -> None:
    for suffix in ("jpg", "png", "webp", "bmp", "gif", "tif", "jp2", "avif"):
        _image(root / f"picture.{suffix}")


def _read_pictures(root: Path, cache: str) -> None:
    for path in sorted(root.iterdir()):
        image_size(path)
        check_image(path, SIZE)
        assert read_image(path, SIZE).shape == (SIZE[1], SIZE[0], 3)
        read_image(path, SIZE, 2)


_BONES = {
    "lowerback": ("root", (0, 1, 0), "rx ry rz"), "upperback": ("lowerback", (0, 1, 0), "rx ry rz"),
    "thorax": ("upperback", (0, 1, 0), "rx ry rz"), "lowerneck": ("thorax", (0, 1, 0), "rx ry rz"),
    "upperneck": ("lowerneck", (0, 1, 0), "rx ry rz"), "head": ("upperneck", (0, 1, 0), "rx ry rz"),
    "hipjoint": ("root", (0.65, -0.7, 0.25), ""), "femur": ("hipjoint", (0.34, -0.94, 0), "rx ry rz"),
    "tibia": ("femur", (0.34, -0.94, 0), "rx"), "foot": ("tibia", (0.1, -0.25, 0.96), "rx rz"),
    "toes": ("foot", (0, 0, 1), "rx"), "clavicle": ("thorax", (1, 0.25, 0), "ry rz"),
    "humerus": ("clavicle", (1, 0, 0), "rx ry rz"), "radius": ("humerus", (1, 0, 0), "rx"),
    "wrist": ("radius", (1, 0, 0), "ry"), "hand": ("wrist", (1, 0, 0), "rx rz"),
}  # fmt: skip
_AXES = {
    "femur": (0, 0, 20), "tibia": (0, 0, 20), "foot": (-90, 0, 20), "toes": (-90, 0, 20), "humerus": (180, -30, -90),
    "radius": (180, -30, -90), "wrist": (0, 90, 90), "hand": (0, 90, 90),
}  # fmt: skip
_MIDLINE = ("root", "lowerback", "upperback", "thorax", "lowerneck", "upperneck", "head")


def _write_cmu(root: Path) -> None:
    """A skeleton and a motion of three frames, in the words and the order of CMU's files."""
    blocks, children, moving = [], [], [("root", 6)]
    for bone, (parent, (x, y, z), angles) in _BONES.items():
        for side, sign in [("", 1)] if bone in _MIDLINE else [("l", 1), ("r", -1)]:
            name, above = side + bone, parent if parent in _MIDLINE else side + parent
            a, b, c = _AXES.get(bone, (0, 0, 0))
            lines = [f"id 1\nname {name}", f"direction {sign * x} {y} {z}", "length 2.5"]
            lines += [f"axis {a} {sign * b} {sign * c}  XYZ"]
            lines += [f"dof {angles}"] if angles else []
            blocks.append("  begin\n" + "\n".join(lines) + "\n  end\n")
            children.append(f"{above} {name}\n")
            moving += [(name, len(angles.split()))] if angles else []
    head = (
        ":version 1.10\n:name VICON\n:units\n  mass 1.0\n  length 0.45\n  angle deg\n:root\n"
        "   order TX TY TZ RX RY RZ\n   axis XYZ\n   position 0 0 0\n   orientation 0 0 0\n:bonedata\n"
    )
    (root / "02.asf").write_text(f"{head}{''.join(blocks)}:hierarchy\n  begin\n{''.join(children)}  end\n")
    frame = "".join(f"{name} {' '.join(['5.5'] * count)}\n" for name, count in moving)
    (root / "02_01.amc").write_text(":FULLY-SPECIFIED\n:DEGREES\n" + "".join(f"{i}\n{frame}" for i in (1, 2, 3)))


def _write_body_model(root: Path) -> None:
    np.savez(root / "SMPL_NEUTRAL.npz", allow_pickle=False, **free_body_arrays())
    for name, regressor in free_body_regressors().items():
        np.save(root / f"{name}.npy", regressor)


def _network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def _write_checkpoint(root: Path) -> None:
    torch.save({"state_dict": _network().state_dict(), "epoch": 3}, root / "last.ckpt")


def _write_pickle(root: Path) -> None:
    """What SMPL's files hold, small: dense and sparse arrays, text of Python 2."""
    content = {
        "v_template": np.zeros((5, 3)), "J_regressor": csc_matrix(np.eye(5)), "f": np.zeros((4, 3), np.uint32),
        "bs_style": "lbs", "kintree_table": np.arange(6).reshape(2, 3), "poses": [np.zeros((3, 72)), np.ones(3)],
    }  # fmt: skip
    (root / "model.pkl").write_bytes(pickle.dumps(content, protocol=2))


COCO_STYLE = ("*.json",)
LAYOUTS: dict[str, Layout] = {
    "coco": Layout(
        lambda root, cache: open_coco(str(root), "train", cache), ("annotations/*.json",), "coco_root", harmless=True
    ),
    "coco_wholebody": Layout(
        lambda root, cache: open_coco(str(root), "train", cache), COCO_STYLE, write=_write_wholebody, harmless=True
    ),
    "coco_named": Layout(
        lambda root, cache: open_coco(str(root), "train", cache), COCO_STYLE, write=_write_named, harmless=True
    ),
    "mpii": Layout(lambda root, cache: open_mpii(str(root), "train", cache), ("*.mat",), "mpii_root", harmless=True),
    "mpii_coco": Layout(
        lambda root, cache: open_mpii(str(root), "train", cache), COCO_STYLE, write=_write_mpii_coco, harmless=True
    ),
    "mpii_hrnet": Layout(
        lambda root, cache: open_mpii(str(root), "train", cache), COCO_STYLE, write=_write_mpii_hrnet, harmless=True
    ),
    "crowdpose": Layout(
        lambda root, cache: open_crowdpose(str(root), "train", cache),
        ("json/*.json",), write=_write_crowdpose, harmless=True,
    ),
    "lspet": Layout(
        lambda root, cache: open_lspet(str(root), "train", cache), ("*.mat",), write=_write_lspet, harmless=True
    ),
    "human36m": Layout(
        lambda root, cache: open_human36m(str(root), "test", cache, body_models="free"),
        ("annotations/*.json",), write=_write_human36m, harmless=True,
    ),
    "threedpw": Layout(
        lambda root, cache: open_threedpw(str(root), "train", cache, "all"),
        ("sequenceFiles/train/*.pkl",), "threedpw_root", harmless=True,
    ),
    "threedpw_json": Layout(
        lambda root, cache: open_threedpw(str(root), "train", cache),
        COCO_STYLE, write=_write_threedpw_json, harmless=True,
    ),
    "emdb": Layout(
        lambda root, cache: open_emdb(str(root), "emdb1", cache),
        ("P*/*/*.pkl",), write=write_emdb, harmless=True,
    ),
    "mpi_inf_3dhp": Layout(
        lambda root, cache: open_mpi_inf_3dhp(str(root), "train", cache),
        ("S1/Seq1/annot.mat", "S1/Seq1/camera.calibration"), "mpi_inf_3dhp_root", harmless=True,
    ),
    "mpi_inf_3dhp_json": Layout(
        lambda root, cache: open_mpi_inf_3dhp(str(root), "train", cache),
        COCO_STYLE, write=_write_mpi_inf_3dhp_json, harmless=True,
    ),
    "mpi_inf_3dhp_test": Layout(
        lambda root, cache: open_mpi_inf_3dhp(str(root), "test", cache),
        ("TS1/annot_data.mat",), write=_write_mpi_inf_3dhp_test,
    ),
    "amass": Layout(lambda root, cache: open_amass(str(root), cache), ("CMU/*/*.npz",), "amass_root"),
    "cmu_asf_amc": Layout(
        lambda root, cache: open_cmu(str(root), cache), ("*.asf", "*.amc"), write=_write_cmu
    ),
    "body_model": Layout(
        lambda root, cache: read_model_files(root, "neutral"), ("*.npy", "*.npz"), write=_write_body_model
    ),
    "labels": Layout(lambda root, cache: read_labels(root), ("*.parquet", "*.json"), write=_write_labels),
    "pseudo_gt": Layout(
        lambda root, cache: open_pseudo_gt(str(root), None, cache), ("*.parquet", "*.json"), write=_write_labels
    ),
    "pictures": Layout(_read_pictures, ("picture.*",), write=_write_pictures),
    "checkpoint": Layout(
        lambda root, cache: load_weights(_network(), root / "last.ckpt"), ("*.ckpt",), write=_write_checkpoint
    ),
    "pickle": Layout(lambda root, cache: load_pickle(root / "model.pkl"), ("*.pkl",), write=_write_pickle),
}  # fmt: skip
LAYOUTS.update(
    {
        f"published_{name}": Layout(
            lambda root, cache, name=name: FORMATS[name].read(root / FORMATS[name].name, "coco", "train"),
            (f"{FORMATS[name].name}*",),
            write=_write_published(name),
        )
        for name in FORMATS
    }
)
LAYOUTS.update(
    {
        f"detections_{name}": Layout(
            lambda root, cache: open_detections(str(root), "train", cache),
            (pattern,),
            write=_write_detections(name),
            # An unknown key of easy_ViTPose's people would be a person.
            harmless=name != "vitpose",
        )
        for name, (_, pattern) in TOOLS.items()
    }
)
