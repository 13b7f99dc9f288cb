"""Write a label table in the layout of another code base: python -m experiments export LABELS --format F --out PATH

LABELS is the folder of a native label table, runs/<run>/labels/<dataset>-<split>/. --list shows the formats, what
camera each has, and so how exactly it can say where a body is. After the export the file is read back (at most 2,000
people, evenly chosen), re-projected onto the full image, and compared with the table; the residual is printed. A file
that is less exact than its layout allows is an error. Where the labels' annotator was trained on 3DPW-train, or that is
not known, a line says so: the layouts have no place for it.

--filter writes a view: python -m experiments export LABELS --format spin --out a.npz --filter max_error_2d=0.1

glb and obj write meshes into the folder PATH, a file for each image, or each person: for Blender and browsers.

    python -m experiments export LABELS --format glb --out meshes --per person --files 20

Schemas: docs/formats.md, or --list --markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.cli import CommandParser


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments behind the command's name.

    Returns:
        The exit code.
    """
    parser = CommandParser("export", __doc__)
    parser.add_argument("labels", metavar="LABELS", nargs="?", help="folder of a label table")
    parser.add_argument("--format", metavar="F", help="layout to write; see --list")
    parser.add_argument("--out", type=Path, metavar="PATH", help="file (or folder: tars, meshes) to write")
    parser.add_argument("--filter", nargs="+", default=[], metavar="KEY=VALUE", help="write only people who pass")
    parser.add_argument(
        "--body-models",
        default="free",
        help="folder with the official SMPL files, or a body file (default: free)",
    )
    parser.add_argument("--per", choices=("image", "person"), help="glb, obj: what a file is of (default: image)")
    parser.add_argument("--files", type=int, metavar="N", help="glb, obj: at most so many, evenly chosen")
    parser.add_argument("--list", action="store_true", help="show the formats")
    parser.add_argument("--markdown", action="store_true", help="with --list: the schemas of all formats")
    arguments = parser.parse_args(argv)

    # Here, so that --help is quick and the guard of run_command speaks first.
    from datamodules.exposure import read_exposure
    from datamodules.pseudo_gt.formats import FORMATS, export_labels, list_formats, schemas
    from datamodules.pseudo_gt.formats.meshes import MESH_FORMATS, write_meshes
    from datamodules.pseudo_gt.native import read_provenance
    from datamodules.pseudo_gt.views import parse_filters, view
    from experiments.exposure import sentence

    if arguments.list:
        print(schemas() if arguments.markdown else list_formats())
        return 0
    missing = [name for name in ("labels", "format", "out") if getattr(arguments, name) is None]
    if missing:
        names = {"labels": "LABELS"}
        parser.error(f"missing: {', '.join(names.get(name, f'--{name}') for name in missing)}")
    formats = [*FORMATS, *MESH_FORMATS]
    if arguments.format not in formats:
        parser.error(f"argument --format: {arguments.format!r} is none of {', '.join(formats)}")
    if arguments.format in FORMATS and (arguments.per or arguments.files):
        parser.error(f"--per and --files are of {' and '.join(MESH_FORMATS)}; {arguments.format} is one file of all")
    if arguments.files is not None and arguments.files < 1:
        parser.error(f"argument --files: {arguments.files} is not a number of files")
    keep = None
    if arguments.filter:
        chosen = view(arguments.labels, parse_filters(arguments.filter))
        print(chosen.describe())
        keep = chosen.keep
    given = arguments.labels, arguments.format, arguments.out, arguments.body_models, keep
    if arguments.format in MESH_FORMATS:
        print(write_meshes(*given, arguments.per or "image", arguments.files))
    else:
        print("\n".join(export_labels(*given).lines()))
    # The layouts are those of others and have no place for it, so it has to be said here.
    if text := sentence(read_exposure(read_provenance(arguments.labels)["provenance"]).saw_training_of()):
        print(f"  annotator: {text}")
    return 0
