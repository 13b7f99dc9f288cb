"""The folders of the code: sizes, arrows between them, circles: python -m experiments rooms [--arrows]

A room is a folder of modules; a module that lies in no room counts as one of its own. An arrow is one room that imports
from another. A circle is two rooms that reach each other by arrows. ``tests/test_imports.py`` holds the limits.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from experiments.cli import PACKAGES, CommandParser

Arrows = Mapping[tuple[str, str], Sequence[str]]
"""(from, to) -> the modules that import, each room by its path below the package."""


def main(argv: Sequence[str]) -> int:
    """Print the figures of each package."""
    parser = CommandParser("rooms", __doc__)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"of {', '.join(PACKAGES)}; default all")
    parser.add_argument("--arrows", action="store_true", help="list every arrow")
    parser.add_argument("--root", type=Path, default=Path(), metavar="FOLDER", help="of the repository (default: here)")
    arguments = parser.parse_args(argv)
    for package in arguments.packages or PACKAGES:
        if not (arguments.root / package).is_dir():
            parser.error(f"there is no folder {arguments.root / package}")
        print("\n".join(_lines(arguments.root, package, arguments.arrows)))
    return 0


def _lines(root: Path, package: str, all_arrows: bool) -> Iterator[str]:
    modules = modules_of(root, package)
    arrows = find_arrows(root, package)
    flat = [path for path in modules.values() if len(path.relative_to(root).parts) == 2]
    yield f"{package}: {len(flat)} flat modules, {len(arrows)} arrows, {len(circles(arrows))} in circles"
    for room, paths in rooms_of(root, package).items():
        lines = sum(map(count_lines, paths))
        largest = max(paths, key=count_lines)
        yield f"  {room:<24} {len(paths):>3} modules {lines:>6,} lines, largest {largest.name} {count_lines(largest)}"
    if all_arrows:
        for (source, target), users in sorted(arrows.items()):
            yield f"  {source} -> {target} ({len(users)})"


def count_lines(path: Path) -> int:
    """Lines of a file."""
    return path.read_text(encoding="utf-8").count("\n")


def modules_of(root: Path, package: str) -> dict[str, Path]:
    """Dotted name -> file of every module of a package; files that hold nothing are left out."""
    files = [path for path in sorted((root / package).rglob("*.py")) if path.stat().st_size]
    names = (path.relative_to(root).with_suffix("").as_posix().replace("/", ".") for path in files)
    return {name.removesuffix(".__init__"): path for name, path in zip(names, files, strict=True)}


def rooms_of(root: Path, package: str) -> dict[str, list[Path]]:
    """Folder below the package -> its modules; those in no room are listed under "."."""
    rooms: defaultdict[str, list[Path]] = defaultdict(list)
    for path in modules_of(root, package).values():
        rooms[path.relative_to(root / package).parent.as_posix()].append(path)
    return dict(rooms)


def find_arrows(root: Path, package: str) -> Arrows:
    """Which rooms of a package import from which others, imports inside functions included."""
    modules = modules_of(root, package)
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, path in modules.items():
        here = _room(path.relative_to(root / package))
        for target in imported(path.read_text(encoding="utf-8"), modules):
            there = _room(modules[target].relative_to(root / package))
            if there != here and name not in arrows[here, there]:
                arrows[here, there].append(name)
    return {arrow: users for arrow, users in arrows.items() if users}


def imported(source: str, modules: Mapping[str, Path]) -> Iterator[str]:
    """Names of the known modules that a source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                for name in (f"{node.module}.{alias.name}", node.module):
                    if name in modules:
                        yield name
                        break


def circles(arrows: Arrows) -> list[tuple[str, str]]:
    """Arrows that are part of a circle."""
    targets: defaultdict[str, set[str]] = defaultdict(set)
    for source, target in arrows:
        targets[source].add(target)

    def reached(start: str) -> set[str]:
        seen, waiting = set[str](), [start]
        while waiting:
            new = targets[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    return [(source, target) for source, target in arrows if source in reached(target)]


def _room(path: Path) -> str:
    """The room of a module, by its path below the package; the door is a module of its own."""
    return path.parent.as_posix() if len(path.parts) > 1 else path.stem
