"""A video of annotated people: python -m experiments video LABELS --out clip.mp4 [--sequence NAME] [--fps 25]

LABELS is a label folder (runs/<run>/labels/<dataset>-<split>). A sequence is a folder of images, as 3DPW and
MPI-INF-3DHP have them, in the order of their names; of data sets without sequences all images follow each other. Left
the meshes on the image, right the same people from the side, where errors in depth show.

    python -m experiments video runs/default/three/labels/coco-train --out coco.mp4 --fps 2 --frames 50
    python -m experiments video labels/threedpw-test --out clip.mp4 --sequence imageFiles/downtown_walking_00
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.cli import CommandParser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = CommandParser("video", __doc__)
    parser.add_argument("labels", type=Path, metavar="LABELS", help="label folder")
    parser.add_argument("--out", type=Path, required=True, help="the video: .mp4, or .avi")
    parser.add_argument("--sequence", help="folder of images; the first one by default")
    parser.add_argument("--fps", type=float, default=25.0, help="frames a second (25)")
    parser.add_argument("--frames", type=int, help="only so many frames")
    parser.add_argument("--height", type=int, default=480, help="of the video in pixels (480)")
    parser.add_argument("--images", type=Path, help="folder of the images, where the labels do not say (any more)")
    parser.add_argument(
        "--body-models", help="folder of model files, or a body file; by default what the labels were made with"
    )
    arguments = parser.parse_args(argv)
    if arguments.out.suffix not in (".mp4", ".avi"):
        parser.error(f"--out {arguments.out} has to end in .mp4 or .avi")
    if arguments.fps <= 0 or arguments.height < 64 or (arguments.frames is not None and arguments.frames < 1):
        parser.error("--fps is above 0, --height 64 or more, --frames 1 or more")

    from experiments.pictures.label_video import open_clip, write_video

    clip = open_clip(arguments.labels, arguments.sequence, arguments.frames, arguments.images, arguments.body_models)
    path = write_video(clip, arguments.out, arguments.fps, arguments.height)
    print(f"{path}: {len(clip.frames)} frames of {clip.sequence or 'all images'}")
    return 0
