"""Components of packages outside of this project, found by their entry points.

A package names what it adds in its metadata, for example in its pyproject.toml::

    [project.entry-points."three_recipes.benchmarks"]
    toy = "toy_package.benchmark:BENCHMARK"

It has to be installed beside this project, and nothing here names it.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, TypeVar

T = TypeVar("T")
PREFIX = "three_recipes."


class ComponentError(ValueError):
    """What a package adds by an entry point is not what it should be."""


def from_outside(group: str, kind: type[T] | None = None) -> dict[str, T]:
    """What other packages add.

    Args:
        group: what it is, e.g. ``benchmarks``: the entry points ``three_recipes.benchmarks``.
        kind: type that it must have; None for functions and classes.

    Returns:
        Each by the name of its entry point.

    Raises:
        ComponentError: it cannot be loaded, or is of another type; the message names the package.
    """
    return {point.name: _load(point, kind) for point in entry_points(group=PREFIX + group)}


def _load(point: Any, kind: type[T] | None) -> T:
    shown = f"entry point {point.group}: {point.name} = {point.value}"
    try:
        loaded = point.load()
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"{shown} cannot be loaded ({error}); repair or uninstall its package"
        raise ComponentError(msg) from error
    if kind is not None and not isinstance(loaded, kind):
        msg = f"{shown} is {type(loaded).__name__}, not {kind.__name__}; repair or uninstall its package"
        raise ComponentError(msg)
    return loaded
