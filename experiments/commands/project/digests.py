"""Digests of tiny runs: python -m experiments digests --out digests.json, before and after a change, then --compare.

Code that is moved or rewritten must not change a number. This command runs the loop at size=tiny once for each method,
prior, head, camera, family of regressors and export format, and writes a digest of everything that came out: label
tables column by column, the weights of every training, metrics, exported files.

    python -m experiments digests --out before.json --work /tmp/before
    python -m experiments digests --out after.json --work /tmp/after
    python -m experiments digests --compare before.json after.json

Two digests agree where the bytes are the same, or where floating-point values differ by at most 1e-6 of their size.
Numbers differ between kinds of machine: compare digests of one machine only. Exit code 1: something differs.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.writing import write_json
from experiments.cli import CommandParser, fail

TOLERANCE = 1e-6
_LABEL_STAGES = "stages=[world,prior,mixture,generic,pose2d,annotate,dump]"
_FORMATS = "[neuralannot,spin,spin_fits,cliff,eft,hmr2,hmr2_tar,bedlam,humandata,coco_smpl]"
_REGRESSOR_STAGES = "stages=[downstream,evaluate]"
RUNS: dict[str, tuple[str, ...]] = {
    "loop": ("experiment=default", f"dump.formats={_FORMATS}"),
    "priors": ("experiment=base", "sweep.recipe.prior=[l2,gmm,adversarial]", _LABEL_STAGES),
    "heads": ("experiment=base", "sweep.model.head=[regression,iterative]", _LABEL_STAGES),
    "cameras": ("experiment=base", "sweep.model.camera=[full_image,known]", _LABEL_STAGES),
    "methods": ("experiment=base", "sweep.annotate.method=[smplify,eft]", _LABEL_STAGES),
    "refinement": ("experiment=base", "sweep.dump.refine=[smplify,eft]", _LABEL_STAGES),
    "mocap": ("experiment=base", "annotate.targets={mpi_inf_3dhp: 1}", _LABEL_STAGES),
    "backbone": ("experiment=base", "model.backbone=vit_slim", _LABEL_STAGES),
    "families": (
        "experiment=base",
        "labels={work}/runs/loop/three",
        "sweep.downstream.family=[pare,cliff,pose2pose,i2l,hmr2]",
        _REGRESSOR_STAGES,
    ),
}
"""Arguments of each run; the first makes what the others share, and the labels that the families are trained on."""
# Files that say when and where a run was made, or hold pictures and pages.
_FREE = ("environment.json", "state.json", "stage.json", "config.yaml", "overrides.yaml", "labels.json", "grid.json")
_FREE_KEYS = ("seconds", "time", "commit", "created", "version", "folder", "path", "date", "host", "memory", "code")


def main(argv: Sequence[str]) -> int:
    """Make digests, or compare two files of them."""
    parser = CommandParser("digests", __doc__)
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the digests go")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="where the runs go; what is finished is used again")
    parser.add_argument("--only", nargs="+", choices=tuple(RUNS), default=list(RUNS), help="some of the runs")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="FILE", help="compare two files of digests instead")
    arguments = parser.parse_args(argv)
    if arguments.compare:
        before, after = (json.loads(path.read_text(encoding="utf-8")) for path in arguments.compare)
        return _report(before, after)
    if arguments.out is None or arguments.work is None:
        parser.error("--out and --work are needed, or --compare")
    work: Path = arguments.work.absolute()
    for name in arguments.only:
        if code := _run(work, name):
            return code
    digests = {key: value for name in arguments.only for key, value in digest_folder(work / "runs" / name)}
    write_json(arguments.out, digests)
    print(f"{len(digests):,} digests of {len(arguments.only)} runs in {arguments.out}")
    return 0


def _run(work: Path, name: str) -> int:
    from experiments.run import main as run

    paths = [f"paths.{key}={work / key}" for key in ("runs", "cache", "data")]
    arguments = [argument.replace("{work}", str(work)) for argument in RUNS[name]]
    fixed = ("size=tiny", f"name={name}", "trainer.accelerator=cpu", "trainer.num_workers=0", "wandb.mode=disabled")
    return run([*arguments, *fixed, *paths])


def digest_folder(folder: Path) -> Iterator[tuple[str, Any]]:
    """(name, digest) of everything in run folders that a change of code alone must leave as it is."""
    for path in sorted(folder.rglob("*")):
        name = f"{folder.name}/{path.relative_to(folder)}"
        if not path.is_file() or path.name in _FREE or path.name.startswith("."):
            continue
        if path.suffix == ".parquet":
            yield from _named(name, _read_parquet(path))
        elif path.suffix == ".ckpt":
            yield from _named(name, _read_weights(path))
        elif path.suffix == ".npz":
            yield from _named(name, _read_npz(path.read_bytes()))
        elif path.suffix == ".tar":
            yield from _digest_tar(name, path)
        elif path.suffix == ".json":
            yield name, _digest_json(json.loads(path.read_text(encoding="utf-8")))


def _named(name: str, arrays: Iterator[tuple[str, np.ndarray]]) -> Iterator[tuple[str, Any]]:
    for key, values in arrays:
        yield f"{name}:{key}", digest_array(values)


def _read_parquet(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    for column in table.column_names:
        yield column, np.array(table[column].to_pylist())


def _read_weights(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Weights of a checkpoint, in order and without their names, which a move of modules may change."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    for number, tensor in enumerate(state.values()):
        yield f"{number:03d}", tensor.numpy()


def _read_npz(content: bytes) -> Iterator[tuple[str, np.ndarray]]:
    # The runs above wrote these files themselves; formats that hold objects are compared by their text.
    with np.load(io.BytesIO(content), allow_pickle=True) as arrays:
        for key in sorted(arrays.files):
            yield key, arrays[key]


def _digest_tar(name: str, path: Path) -> Iterator[tuple[str, Any]]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield f"{name}:{member.name}", {"hash": _hash(file.read())}


def _digest_json(content: Any) -> dict[str, Any]:
    """One digest of all numbers in a json, in order, and of all the rest; times, places and versions are left out."""
    numbers: list[float] = []
    texts: list[str] = []
    _collect(content, numbers, texts)
    return {**digest_array(np.array(numbers)), "texts": _hash("\n".join(texts).encode())}


def _collect(content: Any, numbers: list[float], texts: list[str]) -> None:
    if isinstance(content, dict):
        for key, value in content.items():
            if not any(free in key for free in _FREE_KEYS):
                texts.append(key)
                _collect(value, numbers, texts)
    elif isinstance(content, list):
        for value in content:
            _collect(value, numbers, texts)
    elif isinstance(content, float | int) and not isinstance(content, bool):
        numbers.append(float(content))
    elif not (isinstance(content, str) and "/" in content):
        texts.append(str(content))


def digest_array(values: np.ndarray) -> dict[str, Any]:
    """Hash, shape, and three sums with fixed random weights that tell small from large differences.

    Args:
        values: of any shape; numbers, texts or objects.
    """
    if values.dtype.kind not in "fiub":
        return {"hash": _hash(repr(values.tolist()).encode()), "shape": list(values.shape)}
    exact = np.ascontiguousarray(values)
    flat = np.nan_to_num(exact.astype(np.float64).ravel(), posinf=0, neginf=0)
    weights = np.random.default_rng(len(flat)).choice([-1.0, 1.0], (3, len(flat)))
    return {
        "hash": _hash(exact.tobytes()),
        "shape": list(values.shape),
        "sums": (weights @ flat).tolist(),
        "size": float(np.linalg.norm(flat)),
    }


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def compare(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    """Names of digests by how they compare: equal, close, different, missing, new."""
    found: dict[str, list[str]] = {key: [] for key in ("equal", "close", "different", "missing", "new")}
    for name, one in before.items():
        if name not in after:
            found["missing"].append(name)
            continue
        other = after[name]
        if one == other:
            found["equal"].append(name)
        else:
            found["close" if _close(one, other) else "different"].append(name)
    found["new"] = [name for name in after if name not in before]
    return found


def _close(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if "sums" not in one or "sums" not in other or one["shape"] != other["shape"]:
        return False
    if one.get("texts") != other.get("texts"):
        return False
    return bool(np.allclose(one["sums"], other["sums"], rtol=0, atol=TOLERANCE * max(one["size"], 1e-9)))


def _report(before: dict[str, Any], after: dict[str, Any]) -> int:
    found = compare(before, after)
    print(", ".join(f"{len(names):,} {kind}" for kind, names in found.items()))
    wrong = [f"{kind}: {name}" for kind in ("different", "missing", "new") for name in found[kind]]
    return fail(wrong, 1) if wrong else 0
