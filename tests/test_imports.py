"""Who may import whom: experiments -> callbacks -> {lightning_modules, datamodules} -> body_models, never upward.

Within experiments and lightning_modules the rooms (folders) have an order, too, and a size that a reader can hold.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.commands.project.rooms import circles, count_lines, find_arrows, rooms_of
from tests.support.repository import ROOT

MAY_IMPORT = {
    "body_models": set(),
    "datamodules": {"body_models"},
    "lightning_modules": {"body_models"},
    "callbacks": {"body_models", "datamodules", "lightning_modules"},
    "experiments": {"body_models", "datamodules", "lightning_modules", "callbacks"},
}
MAY_KNOW = {"omegaconf": {"experiments/settings/loading.py"}, "wandb": {"callbacks", "experiments"}}
# Its wheels and the CPU build of torch do not go together, and a broken one breaks torchmetrics: never needed.
NEVER = {"torchvision"}
FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imports(source: str) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of every import, also those inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." if node.level else (node.module or "").partition(".")[0]


def violations(path: Path, source: str) -> list[str]:
    """Imports of a file (path relative to the repository) that its floor forbids."""
    package = path.parts[0]
    found = []
    for line, name in imports(source):
        upward = name in MAY_IMPORT and name != package and name not in MAY_IMPORT[package]
        stranger = name in MAY_KNOW and not {package, path.as_posix()} & MAY_KNOW[name]
        if upward or stranger or name in {*NEVER, "tests", "."}:
            found.append(f"{path}:{line}: {package} may not import {name}")
    return found


def test_there_are_files_on_every_floor() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_floors(path: Path) -> None:
    assert not violations(path.relative_to(ROOT), path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("path", "source", "allowed"),
    [
        ("datamodules/coco.py", "from body_models.camera import project", True),
        ("datamodules/coco.py", "def f():\n    import lightning_modules.losses", False),
        ("lightning_modules/annotator.py", "from datamodules import people", False),
        ("body_models/smpl.py", "from callbacks.overlays import draw", False),
        ("callbacks/overlays.py", "import wandb", True),
        ("datamodules/coco.py", "import wandb", False),
        ("experiments/stages.py", "from omegaconf import OmegaConf", False),
        ("experiments/settings/loading.py", "from omegaconf.errors import OmegaConfBaseException", True),
        ("lightning_modules/backbones/resnet.py", "import torchvision.models", False),
        ("callbacks/overlays.py", "from . import progress", False),
    ],
)
def test_rule_itself(path: str, source: str, allowed: bool) -> None:
    assert (not violations(Path(path), source)) == allowed


# From top to bottom: a room imports from rooms below it only. Modules that lie in no room are rooms of their own.
ORDER = {
    "experiments": (
        "__init__", "__main__", "commands/runs", "commands/project", "commands/labels", "commands/data", "commands",
        "run", "stages", "comparison", "label_study", "documents", "benches", "pictures", "evaluation", "results",
        "training", "provenance", "engine", "settings", "stats", "exposure", "cli",
    ),
    "lightning_modules": (
        "annotator", "mesh_regressor", "mesh_module", "fitting", "networks", "families", "heads", "targets", "starts",
        "backbones", "priors", "weights", "evidence", "cameras", "optimizers", "losses",
    ),
}  # fmt: skip
MOST_FLAT, MOST_MODULES, MOST_LINES, LONGEST_FILE = 14, 12, 2500, 700


def test_no_file_is_too_long() -> None:
    assert [path.name for path in FILES if count_lines(path) > LONGEST_FILE] == []


def test_no_module_hides_one_of_the_standard_library() -> None:
    # A script's own folder comes first when Python looks for modules.
    hiding = [path for path in FILES for name in (path.stem, path.parent.name) if name in sys.stdlib_module_names]
    assert hiding == []


@pytest.mark.parametrize("package", ORDER)
def test_rooms_are_small(package: str) -> None:
    rooms = rooms_of(ROOT, package)
    assert len(rooms.pop(".")) <= MOST_FLAT
    sizes = {room: (len(paths), sum(map(count_lines, paths))) for room, paths in rooms.items()}
    too_large = {room: size for room, size in sizes.items() if size[0] > MOST_MODULES or size[1] > MOST_LINES}
    assert too_large == {}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_two_rooms_reach_each_other(package: str) -> None:
    assert circles(find_arrows(ROOT, package)) == []


@pytest.mark.parametrize("package", ORDER)
def test_arrows_between_rooms_go_down(package: str) -> None:
    arrows, order = find_arrows(ROOT, package), ORDER[package]
    strangers = {room for arrow in arrows for room in arrow} - set(order)
    assert strangers == set(), "a new room: give it its place in ORDER"
    assert [f"{a} -> {b}" for a, b in arrows if order.index(a) >= order.index(b)] == []


def test_circles_are_found() -> None:
    assert circles({("a", "b"): ["x"], ("b", "c"): ["y"], ("c", "a"): ["z"], ("a", "d"): ["x"]}) == [
        ("a", "b"), ("b", "c"), ("c", "a"),
    ]  # fmt: skip
