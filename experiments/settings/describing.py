"""What the command says about configuration: every key, every experiment, and a run's values with their origins."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from experiments.settings.loading import descriptions
from experiments.settings.schema import OPTIONS, SECTIONS, SIZES, Option, Settings, get

USAGE = """\
python -m experiments.run [OPTION] [KEY=VALUE ...]

Annotates people with 3D body meshes (pseudo-GTs), retrains a mesh regressor on them, evaluates it, and compares
annotators trained with different recipes. Without arguments: the whole loop on a synthetic world.

  --help          every key with its type, default and meaning
  --list          experiments and recipes
  --print-config  the settings of this command, each with its origin; starts nothing
  --print-plan    the stages of each run: why, from what, into which folder, made or used again; makes nothing
  --dry-run       builds everything and reads one batch of each source; names every file that is missing
  --debug         full traceback of an error

A sweep is a grid of runs, each resumable by itself; finished ones are used again:

  --jobs N        N runs at a time, each in a process and with a log file of its own; short for grid.parallel=N
  --manifest      writes grid.json, which lists the runs, and says how to start them one by one, for example with SLURM
  --index N       only the run with this index
  --cell LABEL    only the run with this label
  --grid FOLDER   the arguments of FOLDER/grid.json in front of those given

  experiment=NAME or a YAML file (which may say `extends: NAME`); recipe=NAME or a YAML file.
  labels=A,B trains the downstream regressor on other label folders; labels.filter.KEY=VALUE on a view of them.
  Later wins: default < size < experiment file < recipe < KEY=VALUE.
  For example: experiment=coco_mini paths.coco=FOLDER size=bench recipe=two annotate.lr=1e-4
"""


def help_text(width: int) -> str:
    """The usage, then every key of the schema by section, wrapped to a width in characters."""
    lines = [USAGE]
    for section, about in SECTIONS.items():
        lines += [f"{section or 'run'}: {about}", ""]
        for key, option in OPTIONS.items():
            if key.rpartition(".")[0] == section:
                lines += _option_lines(option, width)
        lines.append("")
    return "\n".join(lines)


def _option_lines(option: Option, width: int) -> list[str]:
    if option.sizes and len(set(map(str, option.sizes.values()))) > 1:
        default = "by size: " + ", ".join(f"{size} {_plain(option.sizes[size])}" for size in SIZES)
    else:
        default = f"default {_plain(option.default)}"
    notes = [option.help]
    if choices := option.limits.get("choices"):
        more = f" or {option.limits['prefix']}NAME" if "prefix" in option.limits else ""
        notes.append(f"{'Any' if option.container else 'One'} of {', '.join(choices)}{more}.")
    indent = " " * 6
    return [
        *textwrap.wrap(f"  {option.key:<26} {option.type_name}; {default}", width, subsequent_indent=indent),
        *textwrap.wrap(" ".join(notes), width, initial_indent=indent, subsequent_indent=indent),
    ]


def list_text() -> str:
    """The shipped experiments and recipes, a line each."""
    lines = []
    for kind in ("experiments", "recipes"):
        lines.append(f"{kind} ({kind.removesuffix('s')}=NAME)")
        lines += [f"  {name:<12} {about}" for name, about in descriptions(kind).items()]
        lines.append("")
    return "\n".join(lines)


def config_text(settings: Settings, origins: Mapping[str, str] | None = None) -> str:
    """Settings as YAML that ``experiment=FILE`` reads back to the same settings.

    Args:
        settings: the settings to write.
        origins: origin of each key, written behind its value as a comment.
    """
    entries: list[tuple[str, str]] = []  # (line, origin)
    for section in SECTIONS:
        depth = section.count(".") + 1 if section else 0
        if section:
            entries.append((f"{'  ' * (depth - 1)}{section.rpartition('.')[2]}:", ""))
        for key in OPTIONS:
            if key.rpartition(".")[0] == section:
                value = json.dumps(get(settings, key), ensure_ascii=False)
                entries.append((f"{'  ' * depth}{key.rpartition('.')[2]}: {value}", (origins or {}).get(key, "")))
    column = max(len(line) for line, _ in entries if len(line) < 60)
    return "".join(f"{line:<{column}}  # {origin}\n" if origin else f"{line}\n" for line, origin in entries)


def _plain(value: Any) -> str:
    """A value as it may be typed behind ``key=``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:_}"
    return json.dumps(value).replace('"', "") or "empty"
