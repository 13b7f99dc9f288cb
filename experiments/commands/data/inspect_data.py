"""Look at a data set: python -m experiments inspect SOURCE PATH [--split S] [--grid out.png] [--json out.json]

Prints who was found, kept and dropped (with a reason each), which joints they have, boxes and units, and names images
that are not on disk. --grid draws people spread over the whole data set: joints and bones, the person's left side
orange and right side blue, and the mesh where SMPL parameters are known.

SOURCE and PATH:
  coco          person_keypoints_*.json itself, or a folder with one in it or in annotations/, several being chosen by
                --split; images in images/, {split}2017/ or PATH
  pseudo_gt     a folder of labels, runs/<run>/labels/<dataset>-<split>/
  amass, cmu_asf_amc
                a folder of motion capture: poses, without people in pictures
  others        the folder as unpacked, or the annotation file; what is looked for is named where it is missing

People whose image is not on disk, is truncated, or is not of the size that its annotation says, are dropped and
counted; the images are named. --decode also finds images that are damaged within: it decodes all of them, many at a
time, and shows the rate and when it will be done. Where none of the images is there (only the annotations were
downloaded), everybody is kept. People without any labelled joint are kept.

--json writes {"source", "split", "kept", "dropped": {reason: count}, "people": [{"id", "image", "box": [x, y, w, h],
"affine": 2 x 3, "joints": {name: [x, y, confidence]}}]}: the square box times 1.25 in image pixels, the affine from
image pixels to a 256 x 256 crop, which takes the box's left and top edge to 0 and its right and bottom edge to 256,
and the source's own joints in that crop, those unlabelled as [0, 0, 0]. For motion capture it has counts only.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from datamodules.writing import write_text
from experiments.cli import CommandParser

_ANNOTATION_SPLIT = re.compile(r"person_keypoints_(.+)20\d\d\.json")


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments behind the command's name.

    Returns:
        The exit code.
    """
    parser = CommandParser("inspect", __doc__)
    parser.add_argument("source", metavar="SOURCE", help="kind of data set; see above")
    parser.add_argument("path", metavar="PATH", help="folder or annotation file")
    parser.add_argument("--split", help="of the data set, and part of the ids (default: train, or what PATH says)")
    parser.add_argument("--grid", type=Path, metavar="PNG", help="picture to draw")
    parser.add_argument("--json", type=Path, metavar="JSON", help="file to write everybody's box and joints to")
    parser.add_argument("--people", type=int, default=24, metavar="N", help="people in the picture (default: 24)")
    parser.add_argument("--seed", type=int, default=0, help="choice of the people in the picture")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the source, e.g. variant=univ_annot3"
    )
    looks = parser.add_mutually_exclusive_group()
    looks.add_argument("--quick", action="store_true", help="do not look into images, only whether they are there")
    looks.add_argument("--decode", action="store_true", help="decode every image, which also finds damage within")
    parser.add_argument(
        "--body-models", default="free", help="folder with the official SMPL files, or a body file, for meshes"
    )
    parser.add_argument("--cache", default="cache", help="folder of indexes (default: cache); may be deleted")
    arguments = parser.parse_args(argv)
    if arguments.people < 1:
        parser.error(f"argument --people: {arguments.people} is not a number of people")

    # Imported here, so that --help is quick and the guard of run_command speaks first.
    from datamodules.sources import POSE_SOURCES, SOURCES

    openers = {**SOURCES, **POSE_SOURCES}
    if arguments.source not in openers:
        parser.error(f"argument SOURCE: {arguments.source!r} is none of {', '.join(openers)}")
    known = [name for name in signature(openers[arguments.source]).parameters if name not in _GIVEN]
    options = _options(parser, arguments.option, known)
    return (_inspect_poses if arguments.source in POSE_SOURCES else _inspect_people)(arguments, options)


_GIVEN = ("root", "split", "cache_dir")


def _options(parser: argparse.ArgumentParser, given: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE arguments; values are JSON where they are valid JSON, and text otherwise."""
    options = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or key not in known:
            parser.error(f"argument --option: {item!r} is not KEY=VALUE with one of {', '.join(known) or 'no keys'}")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def _inspect_people(arguments: argparse.Namespace, options: dict[str, Any]) -> int:
    from callbacks.overlays import write_picture
    from datamodules.files import check_image
    from datamodules.image_checks import decode_image
    from datamodules.sources import SOURCES
    from experiments.label_study import inspection
    from experiments.pictures import crop_grid

    split = arguments.split or _split_of(arguments.source, arguments.path)
    table = SOURCES[arguments.source](arguments.path, split, cache_dir=arguments.cache, **options)
    split = table.name.partition("-")[2]
    look = decode_image if arguments.decode else None if arguments.quick else check_image
    table, images = inspection.with_images(table, look)
    lines, warnings = inspection.describe(table, images)
    print(f"{arguments.source}/{split} of {arguments.path}")
    print("\n".join(lines))
    if arguments.json:
        inspection.write_people(arguments.json, arguments.source, split, table)
        print(f"json     {arguments.json}")
    if arguments.grid and len(table):
        rows = crop_grid.spread(len(table), arguments.people, arguments.seed)
        tiles, unreadable = crop_grid.people_tiles(table, rows, arguments.body_models)
        write_picture(arguments.grid, crop_grid.grid(tiles))
        print(f"grid     {arguments.grid} ({len(tiles)} of {len(table)} people)")
        warnings += [] if images.total == len(images.missing) else unreadable
    for warning in warnings:
        print(f"warning: {warning}")
    return 0


def _inspect_poses(arguments: argparse.Namespace, options: dict[str, Any]) -> int:
    import numpy as np

    from callbacks.overlays import write_picture
    from datamodules.sources import POSE_SOURCES
    from experiments.label_study import inspection
    from experiments.pictures import crop_grid

    poses, sequence, dropped = POSE_SOURCES[arguments.source](arguments.path, cache_dir=arguments.cache, **options)
    count = len(np.unique(sequence))
    angles = np.degrees(np.linalg.norm(poses, axis=-1))
    print(f"{arguments.source} of {arguments.path}")
    print(f"poses    {len(poses)} of {count} sequences")
    for reason, number in dropped.items():
        print(f"         {number:8} files passed over: {reason}")
    print(f"angles   of joints in degrees: {inspection.quantiles(angles)}")
    if arguments.json:
        text = inspection.counts_json(
            arguments.source, arguments.split or "train", len(poses), dropped, sequences=count
        )
        write_text(arguments.json, text)
        print(f"json     {arguments.json}")
    if arguments.grid:
        rows = crop_grid.spread(len(poses), arguments.people, arguments.seed)
        names = [f"sequence {sequence[row]}, pose {row}" for row in rows]
        write_picture(arguments.grid, crop_grid.grid(crop_grid.pose_tiles(poses[rows], names, arguments.body_models)))
        print(f"grid     {arguments.grid} ({len(rows)} of {len(poses)} poses, from the front and from the side)")
    return 0


def _split_of(source: str, path: str) -> str | None:
    """The split that a COCO annotation file says in its name; else the usual one (None: the source knows)."""
    from datamodules.sources.coco import find_annotations

    if source == "pseudo_gt":
        return None
    match = _ANNOTATION_SPLIT.search(find_annotations(Path(path), "train").name) if source == "coco" else None
    return match[1] if match else "train"
