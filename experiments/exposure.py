"""What tables say of :class:`datamodules.exposure.Exposure`, and where a checkpoint's is found.

Tables tell of the training split of the default benchmark, on whose test set nearly everything is judged: seen, not
seen, or not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from datamodules.benchmarks import DEFAULT
from datamodules.benchmarks.benchmark import Benchmark
from datamodules.exposure import UNKNOWN as NOT_TOLD
from datamodules.exposure import Exposure, read_exposure

SEEN, UNKNOWN = f"{DEFAULT.title}-train", f"{DEFAULT.title}-train: unknown"
_MARKS = {True: "*", None: "?"}
_WORDS = {True: "{} with help of {}'s training set", None: "not known whether {} with help of {}'s training set"}


def flags(exposure: Exposure) -> list[str]:
    """What must be said beside every number: one text or none."""
    saw = exposure.saw_training_of()
    return [SEEN] if saw else [UNKNOWN] if saw is None else []


def mark(exposure: Exposure) -> str:
    """The same as one character behind a name, for narrow tables; :func:`footnotes` explain it."""
    return _MARKS.get(exposure.saw_training_of(), "")


def sentence(saw: bool | None, what: str = "trained", benchmark: Benchmark = DEFAULT) -> str:
    """The same in words; empty where there is nothing to say."""
    return _WORDS[saw].format(what, benchmark.title) if saw in _WORDS else ""


def sentences(
    told: Mapping[str, Exposure], what: str = "trained", behind: str = "", benchmark: Benchmark = DEFAULT
) -> list[str]:
    """One for each thing that is to be said of some of those named, who stand at its end."""
    lines = []
    for saw in _WORDS:
        if names := [name for name, one in told.items() if one.saw_training_of(benchmark) is saw]:
            text = sentence(saw, what, benchmark) + behind
            lines.append(f"{text[0].upper()}{text[1:]}: {', '.join(names)}.")
    return lines


def footnotes(told: Iterable[Exposure]) -> list[str]:
    """A line for each mark that occurs."""
    answers = [one.saw_training_of() for one in told]
    return [f"{mark} {sentence(saw)}" for saw, mark in _MARKS.items() if saw in answers]


def checkpoint_exposure(checkpoint: Path) -> Exposure:
    """What the summary of the run that a checkpoint lies in tells; unknown where there is none."""
    for folder in list(checkpoint.resolve().parents)[:3]:
        summary = folder / "summary.json"
        if summary.is_file():
            try:
                return read_exposure(json.loads(summary.read_bytes()))
            except (ValueError, AttributeError):
                return NOT_TOLD
    return NOT_TOLD
