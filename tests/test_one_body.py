"""What a body is stands in one place: who builds one, and where SMPL's numbers may be written."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from experiments.cli import PACKAGES
from tests.support.repository import ROOT

FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
# Joints, rotations, numbers of a pose with and without its root, vertices, numbers of pose directions: of SMPL alone.
NUMBERS = {23, 24, 69, 72, 207, 6890}
# 10 and 32 are also other things; names that end so were SMPL's shape and VPoser's code in the contracts.
NAMES = ("NUM_BETAS", "NUM_BODY_ROTATIONS", "LATENT_SIZE", "BODY_JOINT_INDEX", "NUM_BODY_JOINTS")
# Where these numbers are something else, or belong: the spec, the free body in its layout, and one other thing each.
ELSEWHERE = {
    "body_models/spec.py": "SMPL's vertices",
    "body_models/joint_sets.py": "SMPL's parents: numbers up to 23, none of which is a count",
    "body_models/free_body": "a body in SMPL's layout",
    "body_models/safe_pickle.py": "a power of two",
    "body_models/joint_limits.py": "degrees",
    "datamodules/photos.py": "millimetres of film",
    "datamodules/synthetic": "counts, degrees, colours",
    "datamodules/pseudo_gt/formats/eft.py": "rows of a joint convention",
    "datamodules/pseudo_gt/formats/humandata.py": "rows of a joint convention",
    "lightning_modules/backbones": "layers and channels",
    "experiments/commands/data/inspect_data.py": "people in a picture",
}


def numbers_in(path: Path) -> Iterator[tuple[int, int]]:
    """(line, number) of the numbers of SMPL that are written as such."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in NUMBERS:
            yield node.lineno, node.value


def test_smpl_s_numbers_stand_in_its_spec() -> None:
    found = []
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        if not any(name == place or name.startswith(f"{place}/") for place in ELSEWHERE):
            found += [f"{name}:{line}: {number}; ask the body's spec" for line, number in numbers_in(path)]
    assert not found


def test_bodies_are_built_in_three_places_at_most() -> None:
    builds = Counter(
        path.relative_to(ROOT).as_posix()
        for path in FILES
        for _ in re.findall(r"(?<!class )\b(?:BodyModel|SkinnedBody)\(", path.read_text(encoding="utf-8"))
    )
    assert builds.total() <= 3, builds


def test_the_contracts_hold_no_number_of_a_body() -> None:
    text = (ROOT / "body_models" / "contracts.py").read_text(encoding="utf-8")
    assert not [name for name in NAMES if name in text] and not re.search(r"\b(10|23|24|32|69|72|6890)\b", text)


def test_other_places_of_the_list_exist() -> None:
    assert [place for place in ELSEWHERE if not (ROOT / place).exists()] == []
