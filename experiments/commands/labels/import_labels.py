"""Make a label table of published pseudo-GTs: python -m experiments import-labels FILE --format F --out LABELS

NeuralAnnot, Three Recipes, SPIN, EFT, CLIFF, 4D-Humans and others become native label tables, which can be compared
with this project's own on the same people (compare-labels) and trained on (labels=LABELS).

Where the file holds the data set's own keys, the ids come from it. Otherwise its people are matched to those of
--source KIND=PATH, one to one, by the whole path of the image and by joints or boxes; whoever fits nobody, or is of an
image whose name fits several, is left out and counted. Without a source such people get ids by image name, which
compare with nothing else. A source also adds what the file does not have (image sizes, boxes, annotated joints), and
tells whether the file's boxes and cameras are in the units of its layout. Labels that are flagged as absent are left
out and counted.

No layout tells whether the annotator was trained on 3DPW's training set, on whose test set regressors are judged. Say
it by --used-3dpw-train yes or no, as the labels' paper does; else tables say that it is unknown.

  python -m experiments import-labels coco2014part_cliffGT.npz --format cliff --out labels/cliff --source coco=data/coco

Formats: python -m experiments export --list
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
    parser = CommandParser("import-labels", __doc__)
    parser.add_argument("file", metavar="FILE", help="published file, or folder of tars")
    parser.add_argument("--format", metavar="F", required=True, help="its layout; see export --list")
    parser.add_argument("--out", type=Path, metavar="LABELS", required=True, help="folder of the label table to write")
    parser.add_argument("--dataset", help="first part of the ids (default: the source's kind)")
    parser.add_argument("--split", default="train", help="second part of the ids (default: train)")
    parser.add_argument("--source", metavar="KIND=PATH", help="the data set whose people these are")
    parser.add_argument(
        "--used-3dpw-train",
        choices=("yes", "no"),
        help="whether the labels' annotator was trained on 3DPW's training set (default: unknown)",
    )
    parser.add_argument(
        "--trained-on", nargs="*", metavar="SPLIT", help="all splits that the labels' annotator was trained on, e.g. "
        "coco-train human36m-train; nothing behind it: it was not trained"
    )  # fmt: skip
    parser.add_argument("--cache", default="cache", help="folder of indexes (default: cache); may be deleted")
    arguments = parser.parse_args(argv)

    # Here, so that --help is quick and the guard of run_command speaks first.
    from datamodules.exposure import Exposure, training_split
    from datamodules.pseudo_gt.formats import FORMATS
    from datamodules.pseudo_gt.importing import import_labels
    from datamodules.sources import SOURCES, open_source

    if arguments.format not in FORMATS:
        parser.error(f"argument --format: {arguments.format!r} is none of {', '.join(FORMATS)}")
    source, kind = None, ""
    if arguments.source is not None:
        kind, equals, root = arguments.source.partition("=")
        if not equals or kind not in SOURCES:
            parser.error(f"argument --source: {arguments.source!r} is not KIND=PATH, KIND of {', '.join(SOURCES)}")
        source = open_source(kind, cache_dir=arguments.cache, root=root, split=arguments.split)
    dataset = arguments.dataset or kind
    if not dataset:
        parser.error("missing: --dataset (or --source, which names it)")
    word = {"yes": True, "no": False}.get(arguments.used_3dpw_train)
    if arguments.trained_on is not None and word is not None:
        parser.error("--trained-on says all; leave out --used-3dpw-train")
    told = Exposure.told(training_split(), word) if arguments.trained_on is None else Exposure.of(*arguments.trained_on)
    report = import_labels(arguments.file, arguments.format, arguments.out, dataset, arguments.split, source, told)
    print("\n".join(report.lines()))
    if told.saw_training_of() is None:
        print(
            "  whether 3DPW-train helped to make them is unknown, and tables will say so: --used-3dpw-train yes or no"
        )
    return 0
