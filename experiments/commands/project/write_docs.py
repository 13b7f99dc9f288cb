"""Write the documents that code knows better than people: python -m experiments docs [--out docs]

joint_sets.md and free_body.md with their pictures, regressors.md, formats.md, protocols.md, rows.md and a table of
labels.md. Tests keep each of them equal to the code.
Counting the parameters of the largest regressor takes 3 GB and a minute on a CPU: --only leaves it out.

The API reference is a site of its own, made with pdoc (pip install 'three-recipes[dev]') when it is asked for:

    python -m experiments docs --only api --out build      writes build/api/index.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from datamodules.writing import write_text
from experiments.cli import PACKAGES, CommandParser


def main(argv: Sequence[str]) -> int:
    """Write the documents."""
    writers = {
        "joint-sets": _joint_sets,
        "free-body": _free_body,
        "regressors": _regressors,
        "formats": _formats,
        "protocols": _protocols,
        "rows": _rows,
    }
    usual = list(writers)
    writers["api"] = _api
    parser = CommandParser("docs", __doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder to write to (default: docs)")
    parser.add_argument("--only", nargs="+", choices=tuple(writers), default=usual, help="some of them, or api")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        write: Callable[[Path], list[Path]] = writers[name]
        print("wrote", ", ".join(map(str, write(arguments.out))))
    return 0


def _joint_sets(out: Path) -> list[Path]:
    from PIL import Image

    from experiments.documents.joint_set_page import PICTURE, TEXT, joint_sets_picture, joint_sets_text

    picture = Image.fromarray(joint_sets_picture()).quantize(128, Image.Quantize.MAXCOVERAGE)
    picture.save(out / PICTURE, optimize=True)
    return [write_text(out / TEXT, joint_sets_text()), out / PICTURE]


def _free_body(out: Path) -> list[Path]:
    from PIL import Image

    from experiments.documents.free_body_page import TEXT, free_body_pictures, free_body_text

    pictures = free_body_pictures()
    for name, picture in pictures.items():
        Image.fromarray(picture).save(out / name, quality=85, optimize=True)
    return [write_text(out / TEXT, free_body_text()), *(out / name for name in pictures)]


def _regressors(out: Path) -> list[Path]:
    from experiments.documents.regressor_sizes import FILE, document
    from experiments.settings.schema import REGRESSORS

    return [write_text(out / FILE, document(REGRESSORS))]


def _formats(out: Path) -> list[Path]:
    from datamodules.pseudo_gt.formats import schemas

    return [write_text(out / "formats.md", schemas() + "\n")]


def _protocols(out: Path) -> list[Path]:
    from lightning_modules.scoring.protocols import definitions

    return [write_text(out / "protocols.md", definitions())]


def _api(out: Path) -> list[Path]:
    from experiments.documents.api_site import write_site

    return [write_site(out, PACKAGES)]


def _rows(out: Path) -> list[Path]:
    from experiments.documents.row_page import LABELS, TEXT, labels_text, rows_text

    written = [write_text(out / TEXT, rows_text())]
    path = out / LABELS
    if path.is_file():
        written.append(write_text(path, labels_text(path.read_text(encoding="utf-8"))))
    return written
