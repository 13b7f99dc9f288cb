"""From image files to samples: decoding at reduced scale, crops, and whole samples, beside bare OpenCV."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from body_models.camera import crop_affine, process_box
from datamodules.crops import NO_AUGMENTATION, Augmentation, CropCache, choose_reduction, read_image, warp
from datamodules.dataset import PeopleDataset
from datamodules.people import PeopleTable
from datamodules.sources.coco import open_coco
from experiments.benches.rows import Row, best_seconds
from experiments.benches.worlds import bench_world, detailed_picture

_CROP = 256
_PICTURES = ((640, 480), (1280, 960), (2560, 1920))
_SAMPLES = 100


def bench_decode(folder: Path) -> list[Row]:
    """A crop of 256 pixels of somebody who fills the picture's height, at full and at reduced scale."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for size in _PICTURES:
        path = folder / f"detail-{size[0]}.jpg"
        cv2.imwrite(str(path), detailed_picture(size), [cv2.IMWRITE_JPEG_QUALITY, 92])
        affine = crop_affine(process_box((size[0] / 4, 0, size[0] / 2, size[1]), size, scale=1.0), (_CROP, _CROP))
        reduction = choose_reduction(affine, size)
        bare = best_seconds(lambda path=path, affine=affine: _bare_crop(path, affine, _CROP), 15)  # type: ignore[misc]
        crops: dict[int, NDArray[Any]] = {}
        for scale in dict.fromkeys((1, reduction)):

            def crop(
                path: Path = path, size: Any = size, affine: NDArray[Any] = affine, scale: int = scale
            ) -> NDArray[Any]:
                return warp(read_image(path, size, scale), affine, _CROP, scale)

            crops[scale] = crop()
            seconds = best_seconds(crop, 15)
            name = f"crop of a {size[0]} x {size[1]} JPEG, decoded at 1/{scale}"
            rows.append(Row(name, 1000 * seconds, "ms", "bare imdecode + warpAffine", seconds / bare))
        if reduction > 1:
            full = crops[1].astype(float)
            difference = float(np.abs(full - crops[reduction]).mean())
            contrast = "the crop's contrast (standard deviation)"
            rows.append(
                Row(f"mean difference of 1/{reduction} to 1/1", difference, "grey", contrast, difference / full.std())
            )
    return rows


def bench_samples(folder: Path) -> list[Row]:
    """Samples of the synthetic world's COCO in one process: from files, augmented, and from the cache of crops."""
    table = open_coco(str(bench_world(folder) / "coco"), "train", str(folder / "cache"))
    rows = []
    for size in (_CROP, 48):
        bare = _per_second(lambda index, size=size: _bare_sample(table, index, size))  # type: ignore[misc]
        every = Augmentation(occlusion=1.0, low_resolution=1.0, blur=1.0)
        kinds = {
            "plain": NO_AUGMENTATION,
            "augmented": Augmentation(),
            "augmented, with patches, blur, low resolution": every,
        }
        for name, augmentation in kinds.items():
            dataset = PeopleDataset(table, "coco", size, augmentation)
            rows.append(_sample_row(f"{size} px, {name}", dataset, bare))
        if size < 100:
            cache = CropCache(table, size, Augmentation().reach, str(folder / "cache"))
            cached = PeopleDataset(table, "coco", size, Augmentation(), cache)
            rows.append(_sample_row(f"{size} px, augmented, from cached crops", cached, bare))
    return rows


def _sample_row(name: str, dataset: PeopleDataset, bare: float) -> Row:
    rate = _per_second(lambda index: dataset[index, index])
    return Row(name, rate, "samples/s", "bare imdecode + warpAffine", rate / bare)


def _per_second(sample: Callable[[int], Any]) -> float:
    indices = cycle(range(_SAMPLES))
    return _SAMPLES / best_seconds(lambda: [sample(next(indices)) for _ in range(_SAMPLES)], 5)


def _bare_sample(table: PeopleTable, index: int, size: int) -> NDArray[Any]:
    columns = table.columns
    width, height = columns["image_size"][index]
    path = Path(os.fsdecode(os.path.join(os.fsencode(table.image_root), columns["image"][index])))
    return _bare_crop(path, crop_affine(process_box(columns["box"][index], (width, height)), (size, size)), size)


def _bare_crop(path: Path, affine: NDArray[Any], size: int) -> NDArray[Any]:
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.warpAffine(image, affine, (size, size))
