"""VPoser from a file: this project's own, the published v2, or the published v1, told apart by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lightning_modules.priors.pose_prior import PoseCoder, PosePrior
from lightning_modules.priors.vposer_v1 import PosePriorV1
from lightning_modules.weights.checkpoints import MIN_COVERAGE, CheckpointError, load_weights, read_state_dict


@dataclass(frozen=True)
class Layout:
    """A published layout.

    Attributes:
        network: its class.
        first: name of the decoder's first layer, whose size is the width of all.
        prefixes: what may stand before its names.
    """

    network: type[PosePrior] | type[PosePriorV1]
    first: str
    prefixes: tuple[str, ...]


LAYOUTS = {
    "v1": Layout(PosePriorV1, "bodyprior_dec_fc1.weight", ("", "module.", "vposer.")),
    "v2": Layout(PosePrior, "decoder_net.0.weight", ("", "vp_model.", "prior.")),
}


def find_layout(tensors: Mapping[str, Tensor]) -> tuple[str, int] | None:
    """Name of the layout and width of the hidden layers of a VPoser's tensors; None where they are none."""
    for name, layout in LAYOUTS.items():
        for prefix in layout.prefixes:
            if prefix + layout.first in tensors:
                return name, len(tensors[prefix + layout.first])
    return None


def load_vposer(path: str | Path, min_coverage: float = MIN_COVERAGE) -> tuple[PoseCoder, str, int]:
    """Read a VPoser.

    Args:
        path: checkpoint of any layout.
        min_coverage: least share of the network that the file must fill.

    Returns:
        The network, frozen and in evaluation mode; name of its layout; width of its hidden layers.

    Raises:
        CheckpointError: it cannot be read, is no VPoser, or lacks a part.
    """
    found = find_layout(read_state_dict(path))
    if found is None:
        firsts = " or ".join(f"{layout.first} ({name})" for name, layout in LAYOUTS.items())
        msg = (
            f"weight file {path} is no VPoser: it has no {firsts}. Give a published checkpoint (v1: snapshots/*.pt, "
            "v2: snapshots/*.ckpt) or final.ckpt of the prior stage"
        )
        raise CheckpointError(msg)
    name, width = found
    network = LAYOUTS[name].network(width)
    load_weights(network, path, prefix=LAYOUTS[name].prefixes, min_coverage=min_coverage)
    return network.requires_grad_(False).eval(), name, width
