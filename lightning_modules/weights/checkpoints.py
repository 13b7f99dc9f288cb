"""Load weights of other origin, and say how much of the network they filled.

``strict=False`` loads can silently load nothing. Here a file that fills less than 90 % of the network's parameters and
running statistics, counted by element, is an error unless the caller allows less. No code in a file is ever run: what
published files hold beside tensors (:data:`SETTINGS`, :data:`NOTES`) is read as empty objects, anything else refused.
"""

from __future__ import annotations

import logging
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

MIN_COVERAGE = 0.9
SETTINGS = (
    "yacs.config.CfgNode",
    "mmcv.utils.config.ConfigDict",
    "mmengine.config.config.ConfigDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "collections.defaultdict",
)
"""Mappings that published checkpoints (PARE, 4D-Humans, mmpose ...) hold beside their tensors."""
NOTES = (
    "argparse.Namespace",
    "pathlib.PosixPath",
    "typing.Any",
    "builtins.dict",
    "builtins.list",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.nodes.AnyNode",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
)
"""Other objects that they hold: arguments (DINO, MAE), numbers (epoch, best score), states of callbacks."""
_CONTAINERS = ("state_dict", "model", "model_state_dict", "network")
_MAX_DEPTH = 3
_log = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A weight file that is missing, damaged, or of another architecture."""


@dataclass(frozen=True)
class Coverage:
    """What a file filled.

    Attributes:
        share: elements filled / elements of all parameters and running statistics, in [0, 1].
        missing: names in the network that the file does not have.
        mismatched: names with another shape in the file, as "name: (file shape) instead of (network shape)".
        unused: names in the file (after prefix and key map) that the network does not have.
    """

    share: float
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]


class _Settings:
    """Stands for a mapping; its entries are kept, but nobody asks for them."""

    def __new__(cls, *args: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


class _Note:
    """Stands for an object; what it was made from is dropped."""

    def __new__(cls, *args: object) -> _Note:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


_IGNORED: list[Any] = [*((_Settings, name) for name in SETTINGS), *((_Note, name) for name in NOTES)]


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by name; Lightning's and other known containers are unwrapped.

    Of a file that holds several networks (DINO: teacher, student) names begin with the network's.

    Raises:
        CheckpointError: the file is missing, damaged, holds objects that could run code, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"weight file {path} does not exist; check the path, or leave it out to start from random weights"
        raise CheckpointError(msg)
    try:
        with torch.serialization.safe_globals(_IGNORED):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        msg = (
            f"weight file {path} is damaged or holds objects other than tensors and plain values, which could run "
            f"code on loading. If you trust it, save its state_dict alone with torch.save. ({_first_line(error)})"
        )
        raise CheckpointError(msg) from error
    except (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError) as error:
        msg = f"weight file {path} cannot be read; is it complete? Fetch or write it again. ({_first_line(error)})"
        raise CheckpointError(msg) from error
    if isinstance(content, Mapping):
        for name in _CONTAINERS:
            if isinstance(content.get(name), Mapping):
                content = content[name]
                break
        tensors = dict(_named_tensors(content))
        if tensors:
            return tensors
    msg = f"weight file {path} holds no named tensors (a state_dict is expected, bare or under {_CONTAINERS})"
    raise CheckpointError(msg)


def load_weights(
    module: nn.Module,
    path: str | Path,
    key_map: Mapping[str, str] | None = None,
    prefix: str | Sequence[str] = "",
    min_coverage: float = MIN_COVERAGE,
) -> Coverage:
    """Fill a network from a file, as far as names and shapes agree.

    Args:
        module: the network, changed in place.
        path: a state_dict, or a checkpoint that contains one.
        key_map: beginnings of names to be exchanged (after the prefix is gone), first match wins.
        prefix: only names that begin with it are looked at, without it; of several, the one that fills most.
        min_coverage: least share of elements to fill; 0 allows everything.

    Returns:
        What was filled.

    Raises:
        CheckpointError: unreadable, or fills less than ``min_coverage``. The network is then unchanged.
    """
    tensors = read_state_dict(path)
    prefixes = [prefix] if isinstance(prefix, str) else list(prefix)
    attempts = [match(module, _rename(tensors, candidate, key_map or {})) for candidate in prefixes]
    return fill(module, path, max(attempts, key=lambda attempt: attempt.coverage.share), min_coverage)


@dataclass(frozen=True)
class Match:
    """Tensors of a file that fit a network, and how much of it they are."""

    tensors: dict[str, Tensor]
    coverage: Coverage


def fill(module: nn.Module, path: str | Path, found: Match, min_coverage: float) -> Coverage:
    """Give a network the tensors of a file that fit it; arguments and errors as in :func:`load_weights`."""
    coverage = found.coverage
    if coverage.share < min_coverage:
        examples = "; ".join(
            f"{what}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
            for what, names in (
                ("missing", coverage.missing),
                ("other shape", coverage.mismatched),
                ("unused", coverage.unused),
            )
            if names
        )
        msg = (
            f"weight file {path} fills {coverage.share:.1%} of {type(module).__name__}, below {min_coverage:.0%}: "
            f"probably another architecture ({examples}). Choose the matching network, or lower min_coverage."
        )
        raise CheckpointError(msg)
    tensors = found.tensors
    infinite = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if infinite:
        msg = f"weight file {path} holds NaN or infinite values in {', '.join(infinite[:3])}: it did not train well"
        raise CheckpointError(msg)
    module.load_state_dict(tensors, strict=False)
    _log.info("%s fills %.1f %% of %s", path, 100 * coverage.share, type(module).__name__)
    return coverage


def _named_tensors(content: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    for key, value in content.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping) and depth < _MAX_DEPTH and key != "optimizer":
            yield from _named_tensors(value, f"{prefix}{key}.", depth + 1)


def _rename(tensors: Mapping[str, Tensor], prefix: str, key_map: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in tensors.items():
        if not key.startswith(prefix):
            continue
        name = key.removeprefix(prefix)
        for old, new in key_map.items():
            if name.startswith(old):
                name = new + name.removeprefix(old)
                break
        renamed[name] = value
    return renamed


def match(module: nn.Module, tensors: Mapping[str, Tensor]) -> Match:
    """The tensors whose name and shape are those of a network's."""
    own = module.state_dict()
    filled, missing, mismatched = {}, [], []
    elements = 0
    for name, value in own.items():
        if name.endswith("num_batches_tracked"):
            if name in tensors:
                filled[name] = tensors[name]
            continue
        elements += value.numel()
        if name not in tensors:
            missing.append(name)
        elif tensors[name].shape != value.shape:
            mismatched.append(f"{name}: {tuple(tensors[name].shape)} instead of {tuple(value.shape)}")
        else:
            filled[name] = tensors[name]
    covered = sum(value.numel() for name, value in filled.items() if not name.endswith("num_batches_tracked"))
    unused = tuple(name for name in tensors if name not in own)
    return Match(filled, Coverage(covered / max(elements, 1), tuple(missing), tuple(mismatched), unused))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
