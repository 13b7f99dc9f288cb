"""How large each family of regressors is, beside what is published: what docs/regressors.md holds.

Counts are of the real backbones at 256x256, with the free body, which has no parameters. A ViT-H needs 3 GB and a
minute on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.documents.markdown import table_lines

INPUT_SIZE = 256
REAL_BACKBONES = {"hmr2": "vit_huge"}
"""The backbone that a family is published with, where it is not a ResNet-50."""
FILE = "regressors.md"
_COLUMNS = (
    "family", "backbone", "parameters", "of these beside the backbone", "GFLOPs", "published layers, parameters",
)  # fmt: skip

# Parameters counted from published layers; only where the code that says them was read.
_PUBLISHED = {
    "i2l": (
        141_638_485,
        "mks0601/I2L-MeshNet_RELEASE, `common/nets/module.py`, without its parameter regressor; both of its ResNets "
        "have a stem, ours shares one (9,536 fewer); the head for the pelvis' depth is ours",
    ),
    "hmr2": (
        670_459_037,
        "shubham-goel/4D-Humans, ViT-H and `pose_transformer.py`; positions of 16x12 patches and a class token "
        "(ours 16x16), and the query is embedded from a constant (2,048 parameters more)",
    ),
}


def document(families: Sequence[str]) -> str:
    """The document as Markdown."""
    lines = [
        "# Sizes of the regressors",
        "",
        "Written by `python -m experiments docs`; a test keeps the counts so.",
        f"One crop of {INPUT_SIZE}x{INPUT_SIZE}. FLOPs as `torch.utils.flop_counter` counts them: a multiplication and",
        "an addition are two, so papers that count one operation (MACs) have half. Skinning is not among them.",
        "",
        *table_lines(_COLUMNS, map(_row, families)),
    ]
    lines += ["", "Counted from the published code, where it could be read:", ""]
    lines += [f"* {family}: {source}." for family, (_, source) in _PUBLISHED.items()]
    lines += ["", "Of the others no published count was found; a ResNet-50 without classifier has 23,508,032."]
    return "\n".join(lines) + "\n"


def _row(family: str) -> list[str]:
    backbone = REAL_BACKBONES.get(family, "resnet50")
    network, beside = parameters(family, backbone)
    published = f"{_PUBLISHED[family][0]:,}" if family in _PUBLISHED else "-"
    return [family, backbone, f"{network:,}", f"{beside:,}", f"{flops(family, backbone) / 1e9:.1f}", published]


def parameters(family: str, backbone: str) -> tuple[int, int]:
    """Parameters of a family's network, and how many of them are not the backbone's; takes no memory."""
    import torch

    from lightning_modules.mesh_regressor import MeshRegressorModule

    with torch.device("meta"):
        module = MeshRegressorModule(backbone, INPUT_SIZE, family=family)
    whole, inner = (sum(p.numel() for p in part.parameters()) for part in (module, module.backbone))
    return whole, whole - inner


def flops(family: str, backbone: str) -> int:
    """Floating point operations of one crop's forward pass up to the head's outputs."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from lightning_modules.evidence import center_evidence
    from lightning_modules.mesh_regressor import MeshRegressorModule

    network = MeshRegressorModule(backbone, INPUT_SIZE, family=family).eval().network
    evidence = center_evidence(INPUT_SIZE)
    with FlopCounterMode(display=False) as counter:
        network.head(network.encoder(torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE), evidence), evidence)
    return counter.get_total_flops()
