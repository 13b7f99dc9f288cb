"""Poses without images for the pose prior, from whichever motion capture lies in a folder."""

from __future__ import annotations

from pathlib import Path

from datamodules.files import AnnotationError, MissingFilesError
from datamodules.sources.amass import Poses, find_sequences, open_amass, read_first_sequence
from datamodules.sources.cmu_asf_amc import FRAME_RATE, find_clips, open_cmu, read_asf, read_clip, skeletons_of

_CLIP = ".amc"


def find_recordings(root: Path) -> list[Path]:
    """The recordings below a folder, sorted: of AMASS (``.npz``) or of CMU motion capture (``.amc``).

    Raises:
        AnnotationError: both are there; AMASS holds the CMU clips already.
        MissingFilesError: neither is.
    """
    sequences, clips = find_sequences(root), find_clips(root)
    if sequences and clips:
        msg = f"{root} holds AMASS ({sequences[0]}) and ASF/AMC clips ({clips[0]}), which would count twice: name one"
        raise AnnotationError(msg)
    if not sequences and not clips:
        places = f"{root}/**/*_poses.npz or *_stageii.npz (AMASS) and for *.amc (CMU motion capture)"
        remedy = "Get the first from https://amass.is.tue.mpg.de, or the second, free, from http://mocap.cs.cmu.edu"
        raise MissingFilesError([f"poses: looked for {places}. {remedy}"])
    return sequences or clips


def check_recordings(root: Path) -> int:
    """Look for recordings and read the first of them, which is quick where :func:`open_poses` takes minutes.

    Returns:
        How many there are.

    Raises:
        AnnotationError: both kinds are there, or the first recording is damaged.
        MissingFilesError: there are none, or clips without a skeleton.
    """
    recordings = find_recordings(root)
    first = recordings[0]
    if first.suffix == _CLIP:
        read_clip(first, read_asf(skeletons_of(recordings)[first]), FRAME_RATE)
    else:
        read_first_sequence(recordings)
    return len(recordings)


def open_poses(root: str, cache_dir: str = "cache", fps: float = 10.0) -> Poses:
    """Poses of all recordings below a folder: AMASS (``.npz``) or CMU motion capture (``.amc`` with ``.asf``).

    Args:
        root: folder with either of them.
        cache_dir: folder for caches.
        fps: poses a second that are kept.

    Raises:
        AnnotationError: both are there; AMASS holds the CMU clips already.
        MissingFilesError: neither is.
    """
    is_cmu = find_recordings(Path(root))[0].suffix == _CLIP
    return open_cmu(root, cache_dir, fps) if is_cmu else open_amass(root, cache_dir, fps)
