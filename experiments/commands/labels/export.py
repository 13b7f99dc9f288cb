"""Write a label table in the layout of another code base: python -m experiments export LABELS --format F --out PATH

LABELS is the folder of a native label table, runs/<run>/labels/<dataset>-<split>/. --list shows the formats, what
camera each has, and so how exactly it can say where a body is. After the export the file is read back (at most 2,000
people, evenly chosen), re-projected onto the full image, and compared with the table; the residual is printed. A file
that is less exact than its layout allows is an error. Where the labels' annotator was trained on 3DPW-train, or that is
not known, a line says so: the layouts have no place for it.

--filter writes a view: python -m experiments export LABELS --format spin --out a.npz --filter max_error_2d=0.1

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
    parser.add_argument("--out", type=Path, metavar="PATH", help="file (or folder, for tars) to write")
    parser.add_argument("--filter", nargs="+", default=[], metavar="KEY=VALUE", help="write only people who pass")
    parser.add_argument("--body-models", default="free", help="folder with the official SMPL files (default: free)")
    parser.add_argument("--list", action="store_true", help="show the formats")
    parser.add_argument("--markdown", action="store_true", help="with --list: the schemas of all formats")
    arguments = parser.parse_args(argv)

    # Here, so that --help is quick and the guard of run_command speaks first.
    from datamodules.pseudo_gt.formats import FORMATS, export_labels, list_formats, schemas
    from datamodules.pseudo_gt.native import read_provenance
    from datamodules.pseudo_gt.views import parse_filters, view
    from experiments.exposure import read_exposure, sentence

    if arguments.list:
        print(schemas() if arguments.markdown else list_formats())
        return 0
    missing = [name for name in ("labels", "format", "out") if getattr(arguments, name) is None]
    if missing:
        names = {"labels": "LABELS"}
        parser.error(f"missing: {', '.join(names.get(name, f'--{name}') for name in missing)}")
    if arguments.format not in FORMATS:
        parser.error(f"argument --format: {arguments.format!r} is none of {', '.join(FORMATS)}")
    keep = None
    if arguments.filter:
        chosen = view(arguments.labels, parse_filters(arguments.filter))
        print(chosen.describe())
        keep = chosen.keep
    report = export_labels(arguments.labels, arguments.format, arguments.out, arguments.body_models, keep)
    print("\n".join(report.lines()))
    # The layouts are those of others and have no place for it, so it has to be said here.
    if text := sentence(read_exposure(read_provenance(arguments.labels)["provenance"])):
        print(f"  annotator: {text}")
    return 0
