"""Which people a network, its start or its labels were trained on: splits of data sets, and how sure that is.

Whoever trains on a split that belongs to a benchmark, or on labels of a network that did, has an advantage there. So
this travels with every checkpoint (in its run's summary.json), label table (labels.json) and number. What nobody has
told must not pass for clean: unknown is kept apart from none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from datamodules.benchmarks import DEFAULT
from datamodules.benchmarks.benchmark import Benchmark

KEY = "exposure"
"""What it is called in summary.json and in the provenance of labels."""
FORMER_KEY = "used_3dpw_train"
"""Files from before say of one split alone whether it was trained on: true, false, or null for unknown."""


@dataclass(frozen=True)
class Exposure:
    """Splits of data sets that something was trained on.

    Attributes:
        seen: names such as ``coco-train``.
        denied: splits that are known not to be among them, where the others are not known.
        complete: whether there are no others than ``seen``.
    """

    seen: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    complete: bool = True

    @classmethod
    def of(cls, *splits: str) -> Exposure:
        """Exactly these splits; of none, something that was not trained on people."""
        return cls(frozenset(splits))

    @classmethod
    def told(cls, split: str, saw: bool | None) -> Exposure:
        """What a word about one split says: trained on it, not trained on it, or unknown."""
        return cls(frozenset({split} if saw else ()), frozenset({split} if saw is False else ()), complete=False)

    def saw(self, split: str) -> bool | None:
        """Whether a split is among them; None where that is not known."""
        if split in self.seen:
            return True
        return False if self.complete or split in self.denied else None

    def saw_training_of(self, benchmark: Benchmark = DEFAULT) -> bool | None:
        """Whether it was trained on a benchmark's own training split; None where that is not known."""
        return self.saw(training_split(benchmark))

    def __or__(self, other: Exposure) -> Exposure:
        """Of two trainings, or two label tables, together."""
        named = self.denied | other.denied
        denied = {split for split in named if self.saw(split) is False and other.saw(split) is False}
        return Exposure(self.seen | other.seen, frozenset(denied), self.complete and other.complete)


NOTHING = Exposure()
UNKNOWN = Exposure(complete=False)


def training_split(benchmark: Benchmark = DEFAULT) -> str:
    """Name of a benchmark's training split."""
    return f"{benchmark.name}-train"


def combined(parts: Iterable[Exposure]) -> Exposure:
    """Of several trainings or label tables together; nothing where there are none."""
    return reduce(Exposure.__or__, parts, NOTHING)


def entries(exposure: Exposure) -> dict[str, Any]:
    """What files hold of it, by key; the former key stays, for readers from before."""
    content = {
        "trained_on": sorted(exposure.seen),
        "not_trained_on": sorted(exposure.denied),
        "complete": exposure.complete,
    }
    return {KEY: content, FORMER_KEY: exposure.saw_training_of()}


def read_exposure(content: Mapping[str, Any]) -> Exposure:
    """What a summary or a label table's provenance tells, of this version or from before; unknown where it does not."""
    found = content.get(KEY)
    try:
        if isinstance(found, Mapping):
            seen, denied = (frozenset(map(str, found[key])) for key in ("trained_on", "not_trained_on"))
            return Exposure(seen, denied, found["complete"] is True)
    except (KeyError, TypeError):
        return UNKNOWN
    word = content.get(FORMER_KEY)
    return Exposure.told(training_split(), word if isinstance(word, bool) else None)
