"""Poses without images for the pose prior, from whichever motion capture lies in a folder."""

from __future__ import annotations

from pathlib import Path

from numpy.typing import NDArray

from datamodules.files import AnnotationError, MissingFilesError
from datamodules.sources.amass import find_sequences, open_amass
from datamodules.sources.cmu_asf_amc import find_clips, open_cmu


def open_poses(root: str, cache_dir: str = "cache", fps: float = 10.0) -> tuple[NDArray, NDArray]:
    """Poses of all sequences below a folder: AMASS (``.npz``) or CMU motion capture (``.amc`` with ``.asf``).

    Args:
        root: folder with either of them.
        cache_dir: folder for caches.
        fps: poses a second that are kept.

    Returns:
        (N, 21, 3) axis-angle of the body joints 1 to 21, and (N,) number of the sequence, mapped from disk.

    Raises:
        AnnotationError: both are there; AMASS holds the CMU clips already.
        MissingFilesError: neither is.
    """
    sequences, clips = find_sequences(Path(root)), find_clips(Path(root))
    if sequences and clips:
        msg = f"{root} holds AMASS ({sequences[0]}) and ASF/AMC clips ({clips[0]}), which would count twice: name one"
        raise AnnotationError(msg)
    if not sequences and not clips:
        places = f"{root}/**/*_poses.npz or *_stageii.npz (AMASS) and for *.amc (CMU motion capture)"
        remedy = "Get the first from https://amass.is.tue.mpg.de, or the second, free, from http://mocap.cs.cmu.edu"
        raise MissingFilesError([f"poses: looked for {places}. {remedy}"])
    return open_cmu(root, cache_dir, fps) if clips else open_amass(root, cache_dir, fps)
