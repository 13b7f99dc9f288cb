"""What a benchmark is: data set, splits and protocols that networks are compared by. Plain values, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Benchmark:
    """A data set with true bodies or joints that finished networks are judged on.

    Attributes:
        name: of the data set: in ``evaluate.benchmarks`` and ``paths``, its kind of source, and in metrics' names.
        title: as tables write it.
        root_help: what ``paths.NAME`` points at, one sentence.
        protocols: keys of the protocols that are reported unless others are asked for.
        on_request: keys of further ones, which papers mix up with these.
        headline: the metric that it is known by, ``<protocol>_<metric>``; also what checkpoints are chosen by.
        test: split that results are about.
        selection: split that checkpoints are chosen on; None where there is none that is not tested on.
        splits: all of them, in the order in which they are pooled.
        columns: protocol -> its metrics in the main table.
        world: its folder in the synthetic world; None where that has no such people.
        video_steps: whether its reader takes ``frame_step``.
        needs_body_models: whether its reader takes ``body_models``.
        named_images: whether its images are called so that no other data set has the same names, wherever they lie.
    """

    name: str
    title: str
    root_help: str
    protocols: tuple[str, ...]
    headline: str
    columns: Mapping[str, tuple[str, ...]]
    on_request: tuple[str, ...] = ()
    test: str = "test"
    selection: str | None = None
    splits: tuple[str, ...] = field(default=("train", "test"))
    world: str | None = None
    video_steps: bool = False
    needs_body_models: bool = False
    named_images: bool = True

    @property
    def all_protocols(self) -> tuple[str, ...]:
        """Keys of all its protocols."""
        return (*self.protocols, *self.on_request)

    @property
    def kept_splits(self) -> set[str]:
        """Splits that nothing may be trained on: results are about them, or checkpoints are chosen by them."""
        return {self.test} if self.selection is None else {self.test, self.selection}

    @property
    def test_source(self) -> str:
        """Name of the source that is tested on, e.g. ``threedpw_test``."""
        return f"{self.name}_{self.test}"

    @property
    def selection_source(self) -> str | None:
        """Name of the source that checkpoints are chosen on."""
        return None if self.selection is None else f"{self.name}_{self.selection}"

    def chosen(self, protocols: list[str] | None) -> list[str]:
        """Those of some protocols that are its own; its usual ones for None."""
        return list(self.protocols) if protocols is None else [key for key in protocols if key in self.all_protocols]

    def monitor(self, protocols: list[str]) -> str:
        """The metric that checkpoints are chosen by, where only some protocols are computed."""
        protocol, _, metric = self.headline.partition("_")
        return f"{protocol if protocol in protocols else protocols[0]}_{metric}"
