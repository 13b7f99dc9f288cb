"""4D-Humans: the npz with its scale in pixels and its flags, and the training tars."""

import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from PIL import ExifTags, Image

from datamodules.pseudo_gt.formats import export_labels, hmr2
from datamodules.pseudo_gt.formats.hmr2 import read_hmr2, read_hmr2_tar
from datamodules.pseudo_gt.native import LabelError

KEYS = {
    "imgname": ((), "U"), "center": ((2,), "f8"), "scale": ((2,), "f8"), "body_keypoints_2d": ((25, 3), "f4"),
    "extra_keypoints_2d": ((19, 3), "f4"), "body_keypoints_3d": ((25, 4), "f4"), "extra_keypoints_3d": ((19, 4), "f4"),
    "body_pose": ((72,), "f4"), "has_body_pose": ((), "f4"), "betas": ((10,), "f4"), "has_betas": ((), "f4"),
}  # fmt: skip


def test_npz_layout(labels, tmp_path):
    folder, columns = labels
    report = export_labels(folder, "hmr2", tmp_path / "out.npz")
    assert (report.max_difference, report.median_px) == (0, None)
    file = dict(np.load(tmp_path / "out.npz", allow_pickle=False))
    assert set(file) == set(KEYS)
    for name, (shape, kind) in KEYS.items():
        assert file[name].shape == (6, *shape)
        assert file[name].dtype.str[1:].startswith(kind)
    # hmr2/datasets/image_dataset.py: scale.reshape(N, -1).max(axis=-1) / 200, later times 200.
    np.testing.assert_allclose(file["scale"].max(axis=1), columns["box"][:, 2])
    assert (file["has_body_pose"] == 1).all()
    assert (file["has_betas"] == 1).all()
    np.testing.assert_array_equal(file["body_pose"][:, 3:], columns["body_pose"])
    np.testing.assert_array_equal(file["body_keypoints_2d"][:, 0], columns["joints_2d"][:, 0])
    assert np.abs(file["extra_keypoints_3d"][:, 14, :3]).max() == 0


def test_missing_flags_are_named(labels, tmp_path):
    export_labels(labels[0], "hmr2", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    del file["has_betas"]
    np.savez(tmp_path / "bad.npz", **file)
    with pytest.raises(LabelError, match="no key has_betas"):
        read_hmr2(tmp_path / "bad.npz", "coco", "train")
    np.savez(tmp_path / "one.npz", **file, has_betas=np.array([1, 1, 0, 1, 1, 1]))
    assert len(read_hmr2(tmp_path / "one.npz", "coco", "train").columns["betas"]) == 5
    np.savez(tmp_path / "flat.npz", **{**file, "scale": file["scale"][:, 0], "has_betas": np.ones(6)})
    assert len(read_hmr2(tmp_path / "flat.npz", "coco", "train").columns["box"]) == 6


def test_tars(labels, tmp_path, monkeypatch):
    monkeypatch.setattr(hmr2, "IMAGES_PER_TAR", 2)
    folder, columns = labels
    report = export_labels(folder, "hmr2_tar", tmp_path / "tars")
    assert (report.people, report.max_difference) == (6, 0)
    assert sorted(path.name for path in (tmp_path / "tars").iterdir()) == ["000000.tar", "000001.tar"]
    people = {}
    with tarfile.open(tmp_path / "tars" / "000000.tar") as tar:
        names = tar.getnames()
        assert names[:2] == ["train2017/000000000000.jpg", "train2017/000000000000.data.pyd"]
        images = tmp_path / "images" / "train2017"
        assert tar.extractfile(names[0]).read() == (images / "000000000000.jpg").read_bytes()
        for name in names[1::2]:
            for person in pickle.loads(tar.extractfile(name).read()):
                people[f"coco/train/{person['extra_info']['annot_id']}"] = person
    assert set(people) == {
        name for name, image in zip(columns["id"], columns["image"], strict=True) if "02.jpg" not in image
    }
    person = people[columns["id"][1]]
    shapes = {name: np.shape(value) for name, value in person.items() if name != "extra_info"}
    assert shapes == {
        "center": (2,), "scale": (2,), "keypoints_2d": (44, 3), "keypoints_3d": (44, 4), "body_pose": (72,),
        "betas": (10,), "has_body_pose": (), "has_betas": (),
    }  # fmt: skip
    np.testing.assert_allclose(person["scale"] * 200, columns["box"][1, 2:])


def test_tars_are_not_overwritten_and_need_their_images(make_labels, labels, tmp_path):
    (tmp_path / "tars").mkdir()
    with pytest.raises(LabelError, match="there already"):
        export_labels(labels[0], "hmr2_tar", tmp_path / "tars")
    os.remove(tmp_path / "images" / "train2017" / "000000000001.jpg")
    with pytest.raises(LabelError, match=r"000000000001\.jpg cannot be read"):
        export_labels(labels[0], "hmr2_tar", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_tars_hold_images_as_they_are_stored(labels, tmp_path, kind):
    """Whatever EXIF says, and whatever the name ends with: the labels are in the pixels as stored."""
    pixels = np.kron(np.random.default_rng(0).integers(0, 255, (6, 8, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "images" / "train2017" / "000000000001.jpg"
    Image.fromarray(pixels).save(path, kind, exif=exif, quality=95)
    stored = path.read_bytes()
    export_labels(labels[0], "hmr2_tar", tmp_path / "tars")
    with tarfile.open(tmp_path / "tars" / "000000.tar") as tar:
        data = tar.extractfile("train2017/000000000001.jpg").read()
    assert (data == stored) == (kind == "JPEG")
    # As 4D-Humans' loader opens it.
    found = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.abs(found.astype(int) - pixels).mean() < 5
    path.write_bytes(stored[: len(stored) // 2])
    with pytest.raises(LabelError, match=r"000000000001\.jpg .*; the tars contain the images"):
        export_labels(labels[0], "hmr2_tar", tmp_path / "cut")


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([Evil()], r"a\.data\.pyd: refused"),
        ({"center": 1}, "does not hold a list of people"),
        ([{"center": [0, 1]}], r"image a, person 0 has no scale of shape \(2,\)"),
    ],
)
def test_wrong_tars_are_named(tmp_path, monkeypatch, content, named):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(content)
    with tarfile.open("bad.tar", "w") as tar:
        info = tarfile.TarInfo("a.data.pyd")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    with pytest.raises(LabelError, match=named):
        read_hmr2_tar(tmp_path / "bad.tar", "coco", "train")
    assert not (tmp_path / "evil").exists()
