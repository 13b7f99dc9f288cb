"""Who may import whom: experiments -> callbacks -> {lightning_modules, datamodules} -> body_models, never upward."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "body_models": set(),
    "datamodules": {"body_models"},
    "lightning_modules": {"body_models"},
    "callbacks": {"body_models", "datamodules", "lightning_modules"},
    "experiments": {"body_models", "datamodules", "lightning_modules", "callbacks"},
}
MAY_KNOW = {"omegaconf": {"experiments/config.py"}, "wandb": {"callbacks", "experiments"}}
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
        ("experiments/config.py", "from omegaconf.errors import OmegaConfBaseException", True),
        ("lightning_modules/resnet.py", "import torchvision.models", False),
        ("callbacks/overlays.py", "from . import progress", False),
    ],
)
def test_rule_itself(path: str, source: str, allowed: bool) -> None:
    assert (not violations(Path(path), source)) == allowed
