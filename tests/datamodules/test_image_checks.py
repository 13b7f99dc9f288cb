"""Damaged images: said in one line, whoever meets them, or left out and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from datamodules import image_checks
from datamodules.coco import CocoDataModule
from datamodules.crops import CropCache
from datamodules.files import ImageError, check_image
from datamodules.image_checks import damaged_people
from datamodules.people_module import PeopleDataModule
from datamodules.sources.coco import open_coco

SIZE = (320, 240)


@pytest.fixture
def common(tmp_path: Path) -> dict[str, Any]:
    return {"input_size": 112, "batch_size": 4, "cache_dir": str(tmp_path / "cache")}


@pytest.fixture
def damaged(coco_root: Path) -> Path:
    """An image of two people whose header and end are right, and what is between is not."""
    path = coco_root / "train2017" / "000000000002.jpg"
    cv2.imwrite(str(path.with_suffix(".png")), np.random.default_rng(0).integers(0, 255, SIZE[::-1], dtype=np.uint8))
    data = bytearray(path.with_suffix(".png").read_bytes())
    data[3000:3100] = bytes(100)
    path.write_bytes(data)
    path.with_suffix(".png").unlink()
    return path


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("crop_cache", [False, True])
def test_a_damaged_image_is_one_line(
    coco_root: Path, damaged: Path, common: dict[str, Any], workers: int, crop_cache: bool
) -> None:
    check_image(damaged, SIZE)
    data = CocoDataModule(str(coco_root), num_workers=workers, crop_cache=crop_cache, **common)
    with pytest.raises(ImageError) as caught:
        data.setup("fit")
        list(data.train_dataloader())
    message = str(caught.value).removeprefix("1 of 6 images of coco-train are unusable:\n  ")
    assert message == f"image {damaged} does not decode as PNG; get it again, or convert it"


@pytest.mark.parametrize("crop_cache", [False, True])
def test_people_of_damaged_images_are_left_out_and_counted(
    coco_root: Path, damaged: Path, common: dict[str, Any], crop_cache: bool
) -> None:
    (coco_root / "train2017" / "000000000001.jpg").unlink()
    skips = {"skip_missing_images": True, "skip_damaged_images": True}
    data = CocoDataModule(str(coco_root), num_workers=2, crop_cache=crop_cache, **skips, **common)
    data.setup("fit")
    row = data.describe()[0]
    assert (row["people"], row["trained"]) == (8, 8)
    assert row["dropped"]["image not on disk"] == row["dropped"]["image unreadable"] == 2
    seen = {name for batch in data.train_dataloader() for name in batch["id"]}
    assert seen == {f"coco/train/{number}" for number in range(1004, 1012)}


def test_an_image_is_decoded_once_and_again_when_it_changed(
    coco_root: Path, damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def decode(path: bytes, size: Any) -> None:
        looked.append(Path(path.decode()).name)
        real(path, size)

    real = image_checks.decode_image
    monkeypatch.setattr(image_checks, "decode_image", decode)
    table = open_coco(str(coco_root), "train", str(tmp_path / "cache"))
    for times in range(3):
        mask = damaged_people(table, str(tmp_path / "cache"))
        assert np.array(table.ids())[mask].tolist() == ["coco/train/1002", "coco/train/1003"]
        assert len(looked) == 6, times
    # A view of the people finds what is known of all.
    assert damaged_people(table.select(np.array([2, 0])), str(tmp_path / "cache")).tolist() == [True, False]
    damaged.write_bytes((coco_root / "train2017" / "000000000003.jpg").read_bytes())
    assert not damaged_people(table, str(tmp_path / "cache")).any()
    assert looked[6:] == [damaged.name]


def test_cached_crops_of_fewer_people_are_built_anew_for_all(coco_root: Path, damaged: Path, tmp_path: Path) -> None:
    table = open_coco(str(coco_root), "train", str(tmp_path / "cache"))
    some = table.select(~damaged_people(table, str(tmp_path / "cache")), "image unreadable")
    CropCache(some, 48, 1.5, str(tmp_path / "cache"))
    with pytest.raises(ImageError, match=damaged.name):
        CropCache(table, 48, 1.5, str(tmp_path / "cache"))
    damaged.write_bytes((coco_root / "train2017" / "000000000003.jpg").read_bytes())
    assert CropCache(table, 48, 1.5, str(tmp_path / "cache")).crops[2:4].std() > 1


def test_nobody_is_left_out_of_an_evaluation(coco_root: Path, threedpw_root: Path, common: dict[str, Any]) -> None:
    first = min((threedpw_root / "imageFiles").rglob("*.jpg"), key=lambda path: ("test" not in str(path), str(path)))
    source = {"coco": {"kind": "coco", "root": str(coco_root)}}
    settings = {"num_workers": 0, "skip_damaged_images": True, **common}
    threedpw = {"kind": "threedpw", "root": str(threedpw_root)}
    judges = {"val": {**threedpw, "split": "validation"}, "test": {**threedpw, "split": "test"}}
    data = PeopleDataModule(source, **judges, **settings)
    data.setup()
    counts = {split: len(data.evaluation_table(split)) for split in ("val", "test")}
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    data = PeopleDataModule(source, **judges, **settings)
    data.setup()
    assert {split: len(data.evaluation_table(split)) for split in ("val", "test")} == counts
