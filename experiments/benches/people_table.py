"""The people table at COCO's size: building, opening, and what it adds to a worker's memory."""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.dataset import PeopleDataset
from datamodules.people import PeopleTable
from datamodules.sources.coco import open_coco
from experiments.benches.rows import Row, best_seconds, in_new_process, process_mib
from experiments.benches.worlds import bench_world

PEOPLE, IMAGES = 262_000, 118_000
_POLYGON_POINTS = 30
# Every eighth person: a page of any column holds more people than that, so no page is left out.
_STRIDE = 8


def bench_people_table(folder: Path) -> list[Row]:
    """Measure on a json of 262,000 people, made by repeating those of the synthetic world's."""
    folder.mkdir(parents=True, exist_ok=True)
    annotations = _repeat(bench_world(folder) / "coco/annotations/person_keypoints_train2017.json", folder)
    bare, bare_peak = in_new_process(_parse, annotations)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    build, build_peak = in_new_process(_build, annotations, folder / "cache")
    opening = best_seconds(lambda: open_coco(str(annotations), "train", str(folder / "cache")))
    table = open_coco(str(annotations), "train", str(folder / "cache"))
    size = sum(column.nbytes for column in table.columns.values()) / 2**20
    private, shared = in_new_process(_worker_memory, table)
    return [
        Row(f"build, {len(table):,} people, one core", build, "s", "bare json.loads of the file", build / bare),
        Row(
            "peak memory of the build",
            build_peak,
            "MiB",
            "bare json.loads of the file",
            build_peak / max(bare_peak, 1.0),
        ),
        Row("open from the cache", opening, "s", "limit 0.5 s", opening / 0.5),
        Row("size on disk", size, "MiB"),
        Row("private memory a worker adds", private, "MiB", "limit 50 MiB", private / 50),
        Row("the same with its part of the shared pages (PSS)", shared, "MiB", "the table's size", shared / size),
    ]


def _repeat(path: Path, folder: Path) -> Path:
    """A keypoints json of COCO's size, with polygons as COCO has them."""
    made = folder / "person_keypoints_train2017.json"
    if made.is_file():
        return made
    content = json.loads(path.read_text(encoding="utf-8"))
    rng = np.random.default_rng(0)
    images, people = content["images"], content["annotations"]
    content["images"] = [{**images[i % len(images)], "id": i, "file_name": f"{i:012d}.jpg"} for i in range(IMAGES)]
    size = {image["id"]: (image["width"], image["height"]) for image in images}
    by_size: dict[Any, list[int]] = {}
    for image in content["images"]:
        by_size.setdefault((image["width"], image["height"]), []).append(image["id"])
    temporary = made.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        # Written piece by piece: as objects it would take gigabytes.
        head = json.dumps({**content, "annotations": []})
        start, end = head.split('"annotations": []')
        file.write(f'{start}"annotations": [')
        for i in range(PEOPLE):
            person = people[i % len(people)]
            same = by_size[size[person["image_id"]]]
            polygon = [rng.uniform(0, 400, 2 * _POLYGON_POINTS).round(2).tolist()]
            record = {**person, "id": 183_000 + i, "image_id": same[i % len(same)], "segmentation": polygon}
            file.write(f"{', ' if i else ''}{json.dumps(record)}")
        file.write(f"]{end}")
    temporary.rename(made)
    return made


def _parse(path: Path) -> tuple[float, float]:
    before, start = _peak_mib(), time.perf_counter()
    json.loads(path.read_bytes())
    return time.perf_counter() - start, _peak_mib() - before


def _build(path: Path, cache: Path) -> tuple[float, float]:
    before, start = _peak_mib(), time.perf_counter()
    open_coco(str(path), "train", str(cache))
    return time.perf_counter() - start, _peak_mib() - before


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _NoPictures:
    """Stands in for the cache of crops, so that only the table is read."""

    def crop(self, row: int, affine: NDArray[Any], size: int) -> NDArray[np.uint8]:
        return np.zeros((size, size, 3), np.uint8)


def _worker_memory(table: PeopleTable) -> tuple[float, float]:
    """MiB that a forked loader process adds by making samples of people all over the table: private, and PSS."""
    dataset = PeopleDataset(table, "coco", 8, crops=_NoPictures())  # type: ignore[arg-type]
    _ = [dataset[index] for index in range(0, len(dataset), len(dataset) // 50)]
    fork = multiprocessing.get_context("fork")
    receive, send = fork.Pipe(duplex=False)

    def work() -> None:
        before = process_mib("Private_Dirty"), process_mib("Pss")
        for index in range(0, len(dataset), _STRIDE):
            dataset[index, index]
        send.send((process_mib("Private_Dirty") - before[0], process_mib("Pss") - before[1]))

    worker = fork.Process(target=work)
    worker.start()
    result = receive.recv()
    worker.join()
    return result
