"""From an image and a box to the network's input: decoding, warping, augmentation, and the cache of small crops.

A crop is a pure function of (person, seed): the same for any number of workers and ranks. Everything here is NumPy
and OpenCV; no tensor is made before the batch.
"""

from __future__ import annotations

import io
import math
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

# Before the import: albumentations looks for updates over the network otherwise.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from body_models.camera import crop_affine, process_box
from datamodules.columns import map_array, write_folder
from datamodules.files import ImageError, check_header
from datamodules.people import PeopleTable
from datamodules.progress import show_progress

# Workers are processes already; OpenCV's own threads would only fight with them.
cv2.setNumThreads(0)
# Its warnings come again with each image; what does not decode is an ImageError.
if hasattr(cv2, "setLogLevel"):  # before OpenCV 5
    cv2.setLogLevel(2)
else:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)

_REDUCED_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# Pixels that are decoded of one image, 200 MB as RGB: photos of more than 67 megapixels are read at reduced scale.
_MAX_DECODED = 2**26
_CACHE_VERSION = 2
_SEED_STRIDE = 1_000_003


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes to a crop; the defaults are those of the annotator's published training code.

    Attributes:
        scale: the crop shows up to this share more or less of the surroundings.
        rotation_deg: largest angle in degrees.
        rotation_probability: share of crops that are turned at all.
        colour: each colour channel is multiplied by 1 - colour to 1 + colour.
        flip_probability: share of crops that are mirrored.
        occlusion: share of crops with one or two patches of one colour, each a tenth to four tenths of the side.
        low_resolution: share of crops that are shrunk to a quarter to three quarters of the side and stretched again.
        blur: share of crops that are blurred.
    """

    scale: float = 0.25
    rotation_deg: float = 30.0
    rotation_probability: float = 0.6
    colour: float = 0.2
    flip_probability: float = 0.5
    occlusion: float = 0.0
    low_resolution: float = 0.0
    blur: float = 0.0

    def scaled(self, strength: float) -> Augmentation:
        """The same with ranges multiplied by a strength in [0, 1]; nothing at all, not even the flip, at 0."""
        if strength == 0:
            return NO_AUGMENTATION
        return replace(
            self,
            scale=self.scale * strength,
            rotation_deg=self.rotation_deg * strength,
            colour=self.colour * strength,
        )

    @property
    def reach(self) -> float:
        """How many times as wide as the plain crop the surroundings are that a changed one can show."""
        angle = math.radians(min(self.rotation_deg, 45.0))
        return (1 + self.scale) * (math.cos(angle) + math.sin(angle))


NO_AUGMENTATION = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0)


class Change(NamedTuple):
    """One draw of the geometric augmentation."""

    scale: float = 1.0
    rotation_deg: float = 0.0
    flip: bool = False


def draw_change(augmentation: Augmentation, seed: int) -> Change:
    """The geometric change for a seed; always draws the same number of values, so that settings do not shift others."""
    scale, angle, turn, flip = np.random.default_rng(seed).random(4)
    rotation = (2 * angle - 1) * augmentation.rotation_deg if turn < augmentation.rotation_probability else 0.0
    return Change(1 + (2 * scale - 1) * augmentation.scale, rotation, bool(flip < augmentation.flip_probability))


class PixelChange:
    """Changes the colours of a crop, its sharpness and what is hidden, by the seed alone; nothing moves.

    Args:
        augmentation: how much and how often.
        size: side of the crops in pixels.
    """

    def __init__(self, augmentation: Augmentation, size: int) -> None:
        factors = (1 - augmentation.colour, 1 + augmentation.colour)
        patch = {"num_holes_range": (1, 2), "hole_height_range": (0.1, 0.4), "hole_width_range": (0.1, 0.4)}
        smooth = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
        sigmas = (0.5, max(1.0, 0.012 * size))
        # Patches come last: what hides a person is as sharp as ever.
        changes = (
            A.MultiplicativeNoise(factors, per_channel=True, p=1.0 if augmentation.colour else 0.0),
            A.Downscale((0.25, 0.75), interpolation_pair=smooth, p=augmentation.low_resolution),
            A.GaussianBlur(blur_limit=0, sigma_limit=sigmas, p=augmentation.blur),
            A.CoarseDropout(**patch, fill="random_uniform", p=augmentation.occlusion),
        )
        self._pipelines = [(number, A.Compose([change])) for number, change in enumerate(changes) if change.p]

    def __call__(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        for number, pipeline in self._pipelines:
            # albumentations 2.0.8 draws the same values in every worker, unless it is seeded for each sample. Each
            # change has a seed of its own, so that one switched on does not shift the others.
            pipeline.set_random_seed((seed + number * _SEED_STRIDE) % 2**32)
            image = pipeline(image=image)["image"]
        return image


def read_image(path: str | bytes | Path, size: Sequence[int], reduction: int = 1) -> NDArray[np.uint8]:
    """Decode an image in the pixel grid that annotations refer to (EXIF orientation is ignored).

    Args:
        path: of the file; any bytes that the file system knows.
        size: width, height in pixels that the annotation expects.
        reduction: 1, 2, 4 or 8: decode at that fraction of the size, averaging pixels. A JPEG is decoded at that size
            at once, other formats are decoded as they are and then averaged.

    Returns:
        (H, W, 3) uint8 RGB; a side that is no multiple of the reduction is rounded up.

    Raises:
        ImageError: missing, truncated, damaged, not an image, of a kind that is not read, or of another size.
    """
    shown = os.fsdecode(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        msg = f"image {shown} cannot be read ({error.strerror})"
        raise ImageError(msg) from error
    # From header and end: OpenCV would first fill the memory with whatever size a small file claims, and fills the
    # rest of a truncated JPEG with grey and says nothing.
    kind = check_header(io.BytesIO(data), shown, size)
    at_once = kind == "JPEG"
    image = _decode(data, _REDUCED_FLAGS[reduction if at_once else 1] | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        msg = f"image {shown} does not decode as {kind}; get it again, or convert it"
        raise ImageError(msg)
    if reduction > 1 and not at_once:
        image = _average(image, reduction)
    if image.shape[1::-1] != tuple(-(-int(side) // reduction) for side in size):
        msg = f"image {shown} does not decode to the size that its header says; get it again"
        raise ImageError(msg)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _decode(data: bytes, flags: int) -> Any:
    """(H, W, 3) uint8 BGR, or None."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _average(image: NDArray[np.uint8], reduction: int) -> Any:
    """Means of blocks of pixels; those at the end of a side that is no multiple repeat the edge, as JPEG's do."""
    height, width = image.shape[:2]
    if height % reduction or width % reduction:
        bottom, right = -height % reduction, -width % reduction
        padded: Any = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        return _average(padded, reduction)
    return cv2.resize(image, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA)


def least_reduction(size: Sequence[int]) -> int:
    """Smallest reduction (1, 2, 4, 8) at which an image of width, height takes no more than a stated memory."""
    pixels = int(size[0]) * int(size[1])
    return next(reduction for reduction in _REDUCED_FLAGS if pixels <= _MAX_DECODED * reduction**2 or reduction == 8)


def choose_reduction(affine: NDArray[np.float64], size: Sequence[int]) -> int:
    """Largest reduction (1, 2, 4, 8) that still has at least one decoded pixel for each pixel of the crop.

    Args:
        affine: (2, 3) original pixels to crop pixels.
        size: width, height of the image in pixels; very large ones are reduced at least as memory demands.
    """
    shrink = 1 / math.sqrt(abs(affine[0, 0] * affine[1, 1] - affine[0, 1] * affine[1, 0]))
    fine = next(reduction for reduction in (8, 4, 2, 1) if shrink >= reduction or reduction == 1)
    return max(fine, least_reduction(size))


def warp(image: NDArray[np.uint8], affine: NDArray[Any], size: int, reduction: int = 1) -> NDArray[np.uint8]:
    """Crop (size, size, 3) of an image by an affine from original pixels to crop pixels.

    Where the crop has far fewer pixels than the image, several samples are taken for each and averaged.

    Args:
        image: (H, W, 3), decoded at 1 / ``reduction`` of the original size.
        affine: (2, 3) original pixels to crop pixels.
        size: side of the crop.
        reduction: of the image.
    """
    linear, offset = affine[:, :2], affine[:, 2]
    if reduction > 1:
        # A reduced pixel i is the mean of the original pixels r i to r i + r - 1.
        linear, offset = linear * reduction, offset + linear.sum(axis=1) * ((reduction - 1) / 2)
    shrink = 1 / math.sqrt(abs(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0]))
    samples = max(1, round(shrink))
    if samples > 1:
        # The mean of the samples s j to s j + s - 1 stands for crop pixel j.
        linear, offset = linear * samples, offset * samples + (samples - 1) / 2
    matrix = np.column_stack((linear, offset))
    crop = cv2.warpAffine(image, matrix, (size * samples, size * samples), flags=cv2.INTER_LINEAR)
    if samples > 1:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, dtype=np.uint8)


class CropCache:
    """Decoded square crops with margin of all people of a table, in one file that all workers map.

    For small inputs decoding costs many times what the network does; the cache pays it once. It has a pixel for each
    pixel of the plain crop, on the same grid, so a crop that is not augmented is cut out as it is. Views of a table,
    and the same people with labels, share one cache.

    Args:
        table: the people; those that it leaves out may have no image.
        input_size: side of the crops that will be taken from it.
        reach: :attr:`Augmentation.reach` of the augmentation they will get.
        cache_dir: folder for caches.
        num_workers: threads that build it.
    """

    def __init__(
        self, table: PeopleTable, input_size: int, reach: float, cache_dir: str = "cache", num_workers: int = 2
    ) -> None:
        self._arguments = (table, input_size, reach, cache_dir)
        self._side = input_size + 2 * math.ceil(input_size * (reach - 1) / 2)
        self._scale = self._side / input_size
        folder = Path(cache_dir) / f"{table.origin}-crops-{input_size}-{self._side}-v{_CACHE_VERSION}"
        if folder.is_dir() and not map_array(folder / "filled.npy")[table.rows].all():
            # Built for a view that leaves out people whom this one has.
            shutil.rmtree(folder)
        if not folder.is_dir():
            write_folder(folder, lambda temporary: self._build(temporary, table, num_workers))
        self.crops = map_array(folder / "crops.npy")
        self.affines = map_array(folder / "affines.npy")

    def __reduce__(self) -> tuple[Any, ...]:
        return CropCache, self._arguments

    def crop(self, row: int, affine: NDArray[Any], size: int) -> NDArray[np.uint8]:
        """The crop (size, size, 3) of the person in a row of the table, by an affine from image pixels."""
        stretch, offset = self.affines[row, 0, 0], self.affines[row, :, 2]
        # The affine after the inverse of the cached one, whose linear part is a multiple of the identity.
        linear = affine[:, :2] / stretch
        return warp(self.crops[row], np.column_stack((linear, affine[:, 2] - linear @ offset)), size)

    def _build(self, folder: Path, table: PeopleTable, num_workers: int) -> None:
        # All rows, also those that this view leaves out, so that every view finds its own.
        boxes, sizes, images = (table.columns[name] for name in ("box", "image_size", "image"))
        square = (self._side, self._side)
        affines = np.array(
            [
                crop_affine(process_box(box, (size[0], size[1])), square, self._scale)
                for box, size in zip(boxes, sizes, strict=True)
            ]
        )
        shape = (len(boxes), self._side, self._side, 3)
        crops = np.lib.format.open_memmap(folder / "crops.npy", mode="w+", dtype=np.uint8, shape=shape)
        order = np.argsort(images, kind="stable")
        groups = np.split(order, np.flatnonzero(images[order][1:] != images[order][:-1]) + 1)
        root = os.fsencode(table.image_root)

        def fill(group: NDArray[Any]) -> str | None:
            # One decode for all people of an image, fine enough for the one that fills the least of it.
            reduction = min(choose_reduction(affines[row], sizes[row]) for row in group)
            try:
                image = read_image(os.path.join(root, images[group[0]]), sizes[group[0]], reduction)
            except ImageError as error:
                return str(error)
            for row in group:
                crops[row] = warp(image, affines[row], self._side, reduction)
            return None

        # OpenCV decodes and warps without the interpreter's lock, so threads are enough.
        with ThreadPoolExecutor(max(1, num_workers)) as pool:
            results = show_progress(pool.map(fill, groups), f"crops of {table.name}", len(groups))
            faults = list(results)
        filled = np.ones(len(boxes), dtype=bool)
        for group, fault in zip(groups, faults, strict=True):
            filled[group] = fault is None
        wanted = np.isin(np.arange(len(boxes)), table.rows)
        errors = [fault for group, fault in zip(groups, faults, strict=True) if fault and wanted[group].any()]
        if errors:
            shown = "\n".join(f"  {error}" for error in errors[:20])
            msg = f"{len(errors)} of {len(groups)} images of {table.name} are unusable:\n{shown}"
            raise ImageError(msg)
        np.save(folder / "filled.npy", filled)
        crops.flush()
        np.save(folder / "affines.npy", affines)
