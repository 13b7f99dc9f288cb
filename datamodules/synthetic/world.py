"""The synthetic world: data sets in the official layouts with people whose true bodies are known.

    coco/annotations/person_keypoints_train2017.json, coco/train2017/
    mpii/mpii_human_pose_v1_u12_1.mat, mpii/images/
    mpi_inf_3dhp/S1/Seq1/{annot.mat, camera.calibration, imageSequence/video_0/} ...
    3dpw/sequenceFiles/{train,validation,test}/, 3dpw/imageFiles/
    amass/Synthetic/subject_000/*_poses.npz
    truth/{coco,mpii}_train.npz    true bodies of the people in the wild; training never reads them
    world.json                     settings, counts, distances between the sets; there only if all else is

Each picture depends on the seed and its number only: any number of processes makes the same world.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import as_completed as futures_as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.synthetic.bodies import load_body
from datamodules.synthetic.in_the_wild import CHUNK, Photo, make_photos
from datamodules.synthetic.poses import posed_joints
from datamodules.synthetic.takes import STUDIO_CAMERAS, make_capture, make_outdoor_take, make_studio_take
from datamodules.synthetic.writers import (
    write_3dpw,
    write_amass,
    write_coco,
    write_mpi_inf_3dhp,
    write_mpii,
    write_truth,
)

VERSION = 5
"""Raised whenever the same settings would give another world."""
MIN_TRAIN_SEQUENCES, MIN_TEST_SEQUENCES = 12, 20
MAX_TRAIN_SHARE = 1 / 6
SEQUENCE_FRAMES = 60
AMASS_FRAMES = 200
SUBJECTS = 6
_DISTANCE_SAMPLE = 250

Progress = Callable[[int, int], None]
Job = Callable[[Path], Any]


class SynthesisError(ValueError):
    """Settings from which no world can be made, or a folder that is something else."""


@dataclass(frozen=True)
class WorldSettings:
    """What is in a world.

    Attributes:
        seed: of people, poses and pictures.
        body_models: see :mod:`body_models.bodies`.
        coco: people in the wild, 2D joints only.
        mpii: the same.
        mpi_inf_3dhp: views of people in the studio (8 cameras a frame; the next multiple of 8 is made).
        threedpw_train: people in the wild with bodies; at most a sixth of coco + mpii, in 12 sequences or more.
        threedpw_validation: the same, for choosing checkpoints.
        threedpw_test: the same, in 20 sequences or more.
        amass: poses without pictures.
        frontal: share of coco and mpii that is taken roughly from the front; the others are taken from all around,
            where 2D joints tell less of who faces which way.
    """

    seed: int = 0
    body_models: str = "free"
    coco: int = 7000
    mpii: int = 2000
    mpi_inf_3dhp: int = 2000
    threedpw_train: int = 1500
    threedpw_validation: int = 300
    threedpw_test: int = 1200
    amass: int = 20_000
    frontal: float = 0.7

    def __post_init__(self) -> None:
        low = {"threedpw_train": MIN_TRAIN_SEQUENCES, "threedpw_test": MIN_TEST_SEQUENCES, "seed": 0}
        for name, value in asdict(self).items():
            if name not in ("body_models", "frontal") and value < low.get(name, 1):
                msg = f"world: {name} is {value}, and has to be {low.get(name, 1)} or more"
                raise SynthesisError(msg)
        if not 0 <= self.frontal <= 1:
            msg = f"world: frontal is {self.frontal}, and has to be a share between 0 and 1"
            raise SynthesisError(msg)
        if self.threedpw_train > MAX_TRAIN_SHARE * (self.coco + self.mpii):
            msg = (
                f"world: threedpw_train is {self.threedpw_train}, more than a sixth of coco + mpii = "
                f"{self.coco + self.mpii}; with more, 3D ground truth would not be scarce, as it is in real life"
            )
            raise SynthesisError(msg)


WORLD_SIZES = {
    "tiny": WorldSettings(
        coco=120, mpii=24, mpi_inf_3dhp=24, threedpw_train=24, threedpw_validation=12, threedpw_test=20, amass=400
    ),
    "default": WorldSettings(),
    # Fewer people than by default, each seen more often: published annotators see everybody tens of times, and a slim
    # network within a bench's minutes cannot do that for more.
    "bench": WorldSettings(
        coco=2500, mpii=500, mpi_inf_3dhp=4000, threedpw_train=500, threedpw_validation=400, threedpw_test=2000,
        amass=40_000,
    ),
}  # fmt: skip


def make_world(
    folder: Path | str, settings: WorldSettings, num_workers: int = 2, progress: Progress | None = None
) -> Path:
    """Make a world, or reuse the one that is there if it was made from the same settings.

    Args:
        folder: where it goes; another synthetic world there is replaced.
        settings: what is in it.
        num_workers: processes; 0 does all in this one. The world is the same for any number.
        progress: called with the number of finished and of all jobs.

    Returns:
        The folder.

    Raises:
        SynthesisError: the folder holds something that is not a synthetic world.
    """
    folder = Path(folder)
    wanted = {"version": VERSION, "settings": asdict(settings)}
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "world.json").is_file():
            msg = f"{folder} is not empty and holds no world.json: choose another folder, or empty it"
            raise SynthesisError(msg)
        if wanted.items() <= read_world(folder).items():
            return folder
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        _make(unfinished, settings, num_workers, progress, wanted)
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def read_world(folder: Path | str) -> dict[str, Any]:
    """Content of world.json.

    Raises:
        SynthesisError: it cannot be read.
    """
    path = Path(folder) / "world.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read ({error}): delete the folder, and the world is made again"
        raise SynthesisError(msg) from error


def _shares(total: int, parts: int) -> list[int]:
    """``total`` split into ``parts`` nearly equal numbers."""
    return [total // parts + (i < total % parts) for i in range(parts)]


def _jobs(settings: WorldSettings) -> dict[tuple[Any, ...], Job]:
    """Everything to draw, by (set, number ...)."""
    jobs: dict[tuple[Any, ...], Job] = {}
    shared: dict[str, Any] = {"seed": settings.seed, "body_models": settings.body_models}
    for name in ("coco", "mpii"):
        total = getattr(settings, name)
        for chunk in range(-(-total // CHUNK)):
            count = min(CHUNK, total - chunk * CHUNK)
            jobs[name, chunk] = partial(
                make_photos, name=name, chunk=chunk, count=count, frontal=settings.frontal, **shared
            )
    frames = -(-settings.mpi_inf_3dhp // len(STUDIO_CAMERAS))
    for index, count in enumerate(_shares(frames, min(2 * SUBJECTS, max(1, frames // 3)))):
        subject, sequence = index // 2 + 1, index % 2 + 1
        jobs["mpi_inf_3dhp", subject, sequence] = partial(
            _studio_take, subject=subject, sequence=sequence, frames=count, **shared
        )
    for name, least in (
        ("threedpw_train", MIN_TRAIN_SEQUENCES),
        ("threedpw_validation", 4),
        ("threedpw_test", MIN_TEST_SEQUENCES),
    ):
        total = getattr(settings, name)
        sequences = min(total, max(least, -(-total // SEQUENCE_FRAMES)))
        for number, count in enumerate(_shares(total, sequences)):
            # Two people in every fifth sequence, if its number of people can be halved.
            people = 2 if number % 5 == 4 and count % 2 == 0 else 1
            jobs[name, number] = partial(
                _outdoor_take, name=name, number=number, frames=count // people, people=people, **shared
            )
    for number, count in enumerate(_shares(settings.amass, -(-settings.amass // AMASS_FRAMES))):
        jobs["amass", number] = partial(_capture, name="amass", number=number, frames=count, **shared)
    return jobs


# Recordings are written where they are drawn; only their angles go back, for the comparison of the sets.


def _studio_take(folder: Path, subject: int, sequence: int, seed: int, **arguments: Any) -> list[NDArray[Any]]:
    take = make_studio_take(folder, seed, subject, sequence, **arguments)
    write_mpi_inf_3dhp(folder, subject, sequence, take)
    return [track.angles for track in take.tracks]


def _outdoor_take(folder: Path, name: str, number: int, seed: int, **arguments: Any) -> list[NDArray[Any]]:
    take = make_outdoor_take(folder, name, seed, number, **arguments)
    write_3dpw(folder, name, number, take, seed)
    return [track.angles for track in take.tracks]


def _capture(folder: Path, name: str, number: int, seed: int, **arguments: Any) -> list[NDArray[Any]]:
    take = make_capture(name, seed, number, **arguments)
    write_amass(folder, number, take)
    return [track.angles for track in take.tracks]


def _make(
    folder: Path, settings: WorldSettings, num_workers: int, progress: Progress | None, wanted: dict[str, Any]
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    jobs = _jobs(settings)
    done: dict[tuple[Any, ...], Any] = {}
    for key, result in _run(jobs, folder, num_workers):
        done[key] = result
        if progress:
            progress(len(done), len(jobs))

    photos: dict[str, list[Photo]] = {name: [] for name in ("coco", "mpii")}
    angles: dict[str, list[NDArray[Any]]] = {}
    for key in jobs:  # in their order, whichever was finished first
        result, name = done.pop(key), key[0]
        if name in photos:
            photos[name] += result
            result = [person.angles[None] for photo in result for person in photo.people]
        angles.setdefault(name, []).extend(result)
    write_truth(folder, "coco", write_coco(folder, photos["coco"], settings.seed))
    write_truth(folder, "mpii", write_mpii(folder, photos["mpii"]))

    body, _ = load_body(settings.body_models, "neutral")
    stacked = {name: np.concatenate(parts) for name, parts in angles.items()}
    content = wanted | {
        "is_free_body": body.is_free_body,
        "note": "Synthetic people" + (" with the free body, not SMPL" if body.is_free_body else ""),
        "poses": {name: len(values) for name, values in stacked.items()},
        "distances_mm": set_distances(stacked, body.joint_template),
    }
    # Last: a world without this file is unfinished.
    (folder / "world.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def _run(jobs: dict[tuple[Any, ...], Job], folder: Path, num_workers: int) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Results as they come, by key."""
    if num_workers == 0:
        with _one_thread():
            for key, job in jobs.items():
                yield key, job(folder)
        return
    spawn = multiprocessing.get_context("spawn")  # forking a process that has used torch's threads can hang
    with ProcessPoolExecutor(num_workers, mp_context=spawn, initializer=_use_one_thread) as pool:
        futures = {pool.submit(job, folder): key for key, job in jobs.items()}
        try:
            for future in futures_as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _use_one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads(), cv2.getNumThreads()
    _use_one_thread()
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


# ---------------------------------------------------------------------------------------------- the sets compared


def set_distances(angles: dict[str, NDArray[Any]], rest_joints: torch.Tensor) -> dict[str, dict[str, float]]:
    """How far the poses of one set are from those of another.

    Args:
        angles: set -> (N, R, 3) swing-twist angles in degrees.
        rest_joints: (1 + R, 3) metres.

    Returns:
        For sets A and B: the mean over a sample of A of the distance to the nearest of as many poses of B, in
        millimetres per joint, with bodies of one shape looking the same way. For A and A the pose itself is left out.
    """
    joints = {}
    for name, values in angles.items():
        rows = np.random.default_rng(0).permutation(len(values))[:_DISTANCE_SAMPLE]
        joints[name] = torch.from_numpy(posed_joints(values[rows], rest_joints)).flatten(1)
    result: dict[str, dict[str, float]] = {}
    for a, from_joints in joints.items():
        result[a] = {}
        for b, to_joints in joints.items():
            distance = (from_joints[:, None] - to_joints[None]).unflatten(-1, (-1, 3)).norm(dim=-1).mean(-1)
            if a == b:
                distance.fill_diagonal_(torch.inf)
            nearest = distance.min(1).values
            result[a][b] = round(1000 * float(nearest[nearest.isfinite()].mean().nan_to_num()), 1)
    return result


def distance_table(world: dict[str, Any]) -> str:
    """The distances of a world.json as plain text."""
    distances = world["distances_mm"]
    width = max(map(len, distances)) + 2
    lines = ["Mean distance in mm from a pose of the set on the left to the nearest pose of the set above"]
    lines.append(" " * width + "".join(f"{name:>{width}}" for name in distances))
    lines += [
        f"{a:<{width}}" + "".join(f"{value:>{width}.1f}" for value in row.values()) for a, row in distances.items()
    ]
    return "\n".join(lines)
