"""How a setting is declared: its default, its default by size, its help, its limits."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(default: Any, help_text: str, **limits: Any) -> Any:
    """A setting.

    Args:
        default: its value where nothing else is said.
        help_text: one sentence for ``--help``, with the unit.
        **limits: ``choices`` (allowed values, list items or mapping keys), ``prefix`` (text that begins further allowed
            values), ``at_least``, ``above``, ``at_most`` (numbers, also those in a mapping).
    """
    metadata = {"help": help_text, **limits}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def sized(tiny: Any, default: Any, bench: Any, full: Any, help_text: str, **limits: Any) -> Any:
    """A setting whose default depends on ``size=``; a value set in a file or on the command line wins over it."""
    sizes = {"tiny": tiny, "default": default, "bench": bench, "full": full}
    return option(default, help_text, sizes=sizes, **limits)
