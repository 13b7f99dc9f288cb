"""Checkpoints written in every published layout: each tensor lands, and nothing else is taken for it."""

import argparse
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_modules.backbones import make_backbone
from lightning_modules.weights import initial_weights
from lightning_modules.weights.checkpoints import CheckpointError
from lightning_modules.weights.initial_weights import (
    MMPRETRAIN_VIT,
    NUMBERED,
    ORIGINS,
    VITPOSE,
    Layout,
    load_initial_weights,
    resize_positions,
)

State = dict[str, Tensor]


def behind(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def numbered(state: State) -> State:
    """As nn.Sequential(*resnet.children()) calls them."""
    numbers = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    return {".".join((numbers[name.split(".")[0]], *name.split(".")[1:])): value for name, value in state.items()}


def vitpose(state: State) -> State:
    return {re.sub(r"^norm\.", "last_norm.", name): value for name, value in state.items()}


def mmpretrain(state: State) -> State:
    exchange = (
        ("patch_embed.proj.", "patch_embed.projection."), ("blocks.", "layers."), ("norm1.", "ln1."),
        ("norm2.", "ln2."), ("mlp.fc1.", "ffn.layers.0.0."), ("mlp.fc2.", "ffn.layers.1."),
    )  # fmt: skip
    renamed = {}
    for name, value in state.items():
        for old, new in exchange:
            name = name.replace(old, new)
        renamed[re.sub(r"^norm\.", "ln1.", name)] = value
    return renamed


def other(state: State) -> State:
    """Another network of the same shape, whose weights must not be taken."""
    return {name: torch.zeros_like(value) for name, value in state.items()}


def untracked(state: State) -> State:
    """As converted from JAX, which does not count batches."""
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def simple_baselines(state: State) -> State:
    head = {"deconv_layers.0.weight": torch.ones(8, 8, 4, 4), "final_layer.weight": torch.ones(17, 8, 1, 1)}
    return state | head


def more(*names: str) -> State:
    """What belongs to other parts of a network."""
    return {name: torch.ones(4) for name in names}


def classifier(state: State) -> State:
    return state | more("fc.weight", "fc.bias")


def on_several_gpus(state: State) -> dict[str, Any]:
    """What the trainers of BYOL-PyTorch and of detcon-pytorch write."""
    networks = {"target": numbered(other(state)), "online": numbered(state)}
    tensors = {
        f"module.{network}_network.{name}": value
        for network, own in networks.items()
        for name, value in (behind("encoder.", own) | more("projetion.l1.weight")).items()
    }
    return {
        "config": {"model": {"backbone": {"type": "resnet50"}}}, "epoch": 300, "steps": 10, "model": tensors,
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}}, "amp": {},
    }  # fmt: skip


LAYOUTS: dict[str, tuple[str, str, Callable[[State], Any]]] = {
    # name: (recipe.init, origin that is found, file content)
    "torchvision": ("imagenet", "torchvision, timm", classifier),
    "timm on several GPUs": (
        "imagenet", "torchvision, timm", lambda s: {"state_dict": behind("module.", classifier(s))},
    ),
    "moco v1, v2": (
        "moco",
        "MoCo v1, v2",
        lambda s: {
            "epoch": 800, "arch": "resnet50", "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}},
            "state_dict": behind("module.encoder_k.", other(s)) | behind("module.encoder_q.", classifier(s))
            | {"module.queue": torch.ones(2, 2)},
        },
    ),
    "moco v3": (
        "moco",
        "MoCo v3",
        lambda s: {"state_dict": behind("module.momentum_encoder.", other(s)) | behind("module.base_encoder.", s)},
    ),
    "dino, full": (
        "dino",
        "DINO",
        lambda s: {
            "student": behind("module.backbone.", other(s)), "teacher": behind("backbone.", s), "epoch": 3,
            "args": argparse.Namespace(arch="resnet50", patch_size=16), "dino_loss": {"center": torch.ones(1, 4)},
        },
    ),
    "dino, backbone only": ("dino", "torchvision, timm", lambda s: s),
    "byol, converted from JAX": ("byol", "torchvision, timm", lambda s: untracked(classifier(s))),
    "byol, mmselfsup": ("byol", "a larger network", lambda s: {"state_dict": behind("backbone.", s), "meta": {}}),
    "byol, as published for PyTorch": (
        "byol",
        "BYOL",
        lambda s: {
            "epoch": 300, "target_backbone": behind("module.", other(s)), "online_backbone": behind("module.", s),
            "online_projection": more("module.l1.weight"), "predictor": more("module.l1.weight"),
        },
    ),
    "byol, on several GPUs": ("byol", "BYOL, DetCon", on_several_gpus),
    "detcon, on several GPUs": ("detcon", "BYOL, DetCon", on_several_gpus),
    "byol, online network": (
        "byol",
        "BYOL, DetCon",
        lambda s: behind("target_network.encoder.", numbered(other(s)))
        | behind("online_network.encoder.", numbered(s)),
    ),
    "byol, learner": ("byol", "BYOL", lambda s: behind("online_encoder.net.", s)),
    "detcon, converted": ("detcon", "torchvision, timm", lambda s: {"state_dict": untracked(s)}),
    "detcon, lightning": ("detcon", "DetCon", lambda s: {"state_dict": behind("network.encoder.", numbered(s))}),
    "simple baselines": ("pose2d_coco", "Simple Baselines, HRNet", simple_baselines),
    "simple baselines on several GPUs": (
        "pose2d_mpii", "Simple Baselines, HRNet", lambda s: OrderedDict(behind("module.", simple_baselines(s))),
    ),
    "mmpose 0.x": (
        "pose2d_coco",
        "mmpose",
        lambda s: {"meta": {"epoch": np.float64(210)}, "state_dict": behind("backbone.", s)
                   | behind("keypoint_head.", simple_baselines({}))},
    ),
    "mmpose 1.x": (
        "pose2d_coco",
        "mmpose",
        lambda s: {"state_dict": behind("backbone.", s) | behind("head.", simple_baselines({}))},
    ),
    "this project's pose2d": (
        "pose2d_coco",
        "a larger network",
        lambda s: {"state_dict": behind("backbone.", s) | simple_baselines({}), "pytorch-lightning_version": "2.6.6"},
    ),
    "spin": ("file", "SPIN", lambda s: {"model": s | more("fc1.weight", "decpose.weight")}),
    "pare": ("file", "PARE", lambda s: {"state_dict": behind("model.backbone.", s) | more("model.head.x")}),
    "cliff": ("file", "CLIFF", lambda s: {"model": behind("module.encoder.", s) | more("module.decpose.weight")}),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_tensor_of_a_published_layout_lands(tmp_path: Path, layout: str) -> None:
    init, origin, write = LAYOUTS[layout]
    torch.manual_seed(0)
    source, target = make_backbone("resnet18"), make_backbone("resnet18")
    torch.save(write(source.state_dict()), tmp_path / "a.pth.tar")
    start = load_initial_weights(target, tmp_path / "a.pth.tar", init)
    assert (start.origin, start.coverage.share) == (origin, 1)
    torch.testing.assert_close(untracked(target.state_dict()), untracked(source.state_dict()), rtol=0, atol=0)
    assert load_initial_weights(target, tmp_path / "a.pth.tar", "file").origin == origin
    assert "100.0%" in start.text("a.pth.tar") and origin in start.text("a.pth.tar")


# What a row's renames read -> functions that write the names so.
WRITERS: dict[Any, list[Callable[[State], State]]] = {
    (): [dict], NUMBERED: [dict, numbered], VITPOSE: [vitpose], MMPRETRAIN_VIT: [mmpretrain],
}  # fmt: skip
ROWS = [
    pytest.param(row, write, id=f"{row.origin}-{row.prefix}-{row.sign}-{write.__name__}")
    for row in initial_weights.LAYOUTS
    for write in WRITERS[row.renames]
]


@pytest.mark.parametrize(("row", "write"), ROWS)
def test_every_row_of_the_table_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Layout, write: Callable[[State], State]
) -> None:
    torch.manual_seed(0)
    kind = partial(SmallViT, 4) if write in (vitpose, mmpretrain) else partial(make_backbone, "slim")
    source, target = kind(), kind()
    torch.save(behind(row.prefix, write(source.state_dict())) | more(f"{row.sign}x"), tmp_path / "a.pth")
    start = load_initial_weights(target, tmp_path / "a.pth")
    assert (start.origin, start.coverage.share) == (row.origin, 1)
    torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=0, atol=0)
    monkeypatch.setattr(initial_weights, "LAYOUTS", [one for one in initial_weights.LAYOUTS if one != row])
    try:
        start = load_initial_weights(target, tmp_path / "a.pth")
    except CheckpointError:
        return
    assert (start.origin, start.coverage.share) != (row.origin, 1)


def test_bottlenecks_and_the_old_file_format(tmp_path: Path) -> None:
    source, target = make_backbone("resnet50"), make_backbone("resnet50")
    state = behind("module.", simple_baselines(source.state_dict()))
    torch.save(state, tmp_path / "pose_resnet_50_256x192.pth.tar", _use_new_zipfile_serialization=False)
    start = load_initial_weights(target, tmp_path / "pose_resnet_50_256x192.pth.tar", "pose2d_coco")
    assert start.coverage.share == 1
    torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=0, atol=0)


class SmallHRNet(nn.Module):
    """HRNet's names, as mmpose and timm have them: stem, a transition, two branches and their fusion."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.transition1 = nn.ModuleList([nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))])
        self.stage2 = nn.ModuleList([nn.Module()])
        self.stage2[0].branches = nn.ModuleList([nn.Sequential(make_backbone("slim").layer1) for _ in range(2)])
        self.stage2[0].fuse_layers = nn.ModuleList([nn.ModuleList([nn.Conv2d(4, 4, 1)])])


@pytest.mark.parametrize(
    ("origin", "write"),
    [
        ("mmpose", lambda s: {"state_dict": behind("backbone.", s) | more("keypoint_head.final_layer.weight")}),
        ("Simple Baselines, HRNet", simple_baselines),
        ("CLIFF", lambda s: {"model": behind("module.encoder.", s) | more("module.decpose.bias")}),
    ],
)  # fmt: skip
def test_hrnet(tmp_path: Path, origin: str, write: Callable[[State], Any]) -> None:
    source, target = SmallHRNet(), SmallHRNet()
    torch.save(write(source.state_dict()), tmp_path / "a.pth")
    start = load_initial_weights(target, tmp_path / "a.pth")
    assert (start.origin, start.coverage.share) == (origin, 1)
    torch.testing.assert_close(target.state_dict(), source.state_dict())


class Wrapped(nn.Module):
    """As timm's networks stand in this project."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


@pytest.mark.parametrize("depth", [1, 2])
def test_networks_of_timm(tmp_path: Path, depth: int) -> None:
    source, target = make_backbone("slim"), make_backbone("slim")
    torch.save(classifier(source.state_dict()), tmp_path / "a.pth")
    wrapped = Wrapped(target)
    if depth == 2:
        wrapped.net = nn.ModuleDict({"model": target})
    assert load_initial_weights(wrapped, tmp_path / "a.pth", "imagenet").coverage.share == 1
    torch.testing.assert_close(target.state_dict(), source.state_dict())


def test_networks_of_timm_with_flattened_stages(tmp_path: Path) -> None:
    stages = [nn.Linear(3, 4), nn.Linear(4, 5)]
    torch.save({f"stages.{i}.{k}": v for i, m in enumerate(stages) for k, v in m.state_dict().items()}, tmp_path / "a")
    target = Wrapped(nn.ModuleDict({"stages_0": nn.Linear(3, 4), "stages_1": nn.Linear(4, 5)}))
    assert load_initial_weights(target, tmp_path / "a").coverage.share == 1
    assert target.net["stages_1"].weight.equal(stages[1].weight)


class SmallViT(nn.Module):
    """A ViT of two blocks with timm's names and no class token."""

    def __init__(self, patches: int, extra: int = 0) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, patches + extra, 8))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, 8, 16, 16)
        self.blocks = nn.ModuleList([nn.Module() for _ in range(2)])
        for block in self.blocks:
            block.norm1, block.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
            block.attn, block.mlp = nn.Module(), nn.Module()
            block.attn.qkv, block.attn.proj = nn.Linear(8, 24), nn.Linear(8, 8)
            block.mlp.fc1, block.mlp.fc2 = nn.Linear(8, 32), nn.Linear(32, 8)
        self.norm = nn.LayerNorm(8)


@pytest.mark.parametrize(
    ("origin", "write"),
    [
        ("torchvision, timm", lambda s: s | {"cls_token": torch.ones(1, 1, 8)}),
        ("MoCo v3", lambda s: {"state_dict": behind("module.base_encoder.", s)}),
        ("DINO", lambda s: {"student": behind("module.backbone.", other(s)), "teacher": behind("backbone.", s)}),
        ("ViTPose", lambda s: {"state_dict": behind("backbone.", vitpose(s)) | more("keypoint_head.x")}),
        ("ViTPose", lambda s: {"state_dict": behind("backbone.", mmpretrain(s)) | more("head.x")}),
        ("HMR2", lambda s: {"state_dict": behind("backbone.", vitpose(s)) | more("smpl_head.x")}),
    ],
)
def test_vision_transformers(tmp_path: Path, origin: str, write: Callable[[State], Any]) -> None:
    source, target = SmallViT(4), SmallViT(4)
    torch.save(write(source.state_dict()), tmp_path / "a.pth")
    start = load_initial_weights(target, tmp_path / "a.pth")
    assert (start.origin, start.coverage.share) == (origin, 1)
    torch.testing.assert_close(target.state_dict(), source.state_dict())


def test_vitpose_for_other_crops_gives_each_patch_its_shared_position(tmp_path: Path) -> None:
    source, target = SmallViT(16 * 12, extra=1), SmallViT(16 * 16)
    torch.save({"state_dict": behind("backbone.", vitpose(source.state_dict()))}, tmp_path / "a.pth")
    assert load_initial_weights(target, tmp_path / "a.pth", "pose2d_coco").coverage.share == 1
    expected = source.pos_embed[:, 1:] + source.pos_embed[:, :1]
    rows = expected.detach().unflatten(1, (16, 12)).mean(dim=2)
    # Stretched along x only: each row keeps its mean but for the borders of the bicubic kernel.
    stretched = target.pos_embed.detach().unflatten(1, (16, 16)).mean(dim=2)
    assert (stretched - rows).abs().mean() < 0.1


def test_resized_positions() -> None:
    square = torch.randn(1, 1 + 9, 4)
    assert resize_positions(square, 10, add_extra=False).equal(square)
    torch.testing.assert_close(resize_positions(square, 9, add_extra=False), square[:, 1:])
    torch.testing.assert_close(resize_positions(square, 9, add_extra=True), square[:, 1:] + square[:, :1])
    added = resize_positions(square[:, 1:], 10, add_extra=False)
    assert added[:, 0].eq(0).all() and added[:, 1:].equal(square[:, 1:])
    # A plane stays a plane away from the border, at the new cells' centres, as nearly as torch's bicubic kernel allows.
    y, x = torch.meshgrid(torch.arange(8.0) + 0.5, torch.arange(8.0) + 0.5, indexing="ij")
    plane = torch.stack((x, y), dim=-1).view(1, 64, 2)
    larger = resize_positions(plane, 256, add_extra=False).unflatten(1, (16, 16))
    cells = (torch.arange(16.0) + 0.5) / 2
    torch.testing.assert_close(larger[0, 5:11, 5:11, 0], cells[5:11].expand(6, 6), rtol=0, atol=0.05)
    with pytest.raises(CheckpointError, match="7 tokens"):
        resize_positions(torch.zeros(1, 7, 4), 9, add_extra=False)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    source, target = make_backbone("slim"), make_backbone("slim")
    before = {name: value.clone() for name, value in target.state_dict().items()}
    torch.save(simple_baselines(source.state_dict()), tmp_path / "pose.pth")
    torch.save(behind("module.encoder_q.", source.state_dict()), tmp_path / "moco.pth")
    with pytest.raises(CheckpointError, match=r"not of the kind .*imagenet.*Simple Baselines.*recipe.init=pose2d_coco"):
        load_initial_weights(target, tmp_path / "pose.pth", "imagenet")
    with pytest.raises(CheckpointError, match=r"recipe.init=moco"):
        load_initial_weights(target, tmp_path / "moco.pth", "dino")
    with pytest.raises(CheckpointError, match=r"below 90%"):
        load_initial_weights(make_backbone("resnet18"), tmp_path / "pose.pth", "file")
    torch.testing.assert_close(target.state_dict(), before)


def test_every_choice_knows_its_files() -> None:
    known = {origin for _, origin, _ in LAYOUTS.values()} | {"ViTPose", "HMR2"}
    assert known == set(ORIGINS["file"])
    assert all(set(origins) <= known for origins in ORIGINS.values())


def test_objects_beside_the_tensors_are_ignored_but_never_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PARE's and 4D-Humans' files hold: a yacs configuration, numpy numbers, callbacks by class."""
    made: list[object] = []

    class CfgNode(dict):
        def __setstate__(self, state: object) -> None:
            made.append(state)

    class HistoryBuffer:
        def __init__(self) -> None:
            self.values = np.arange(3)

    for path, kind in {"yacs.config": CfgNode, "mmengine.logging.history_buffer": HistoryBuffer}.items():
        module = ModuleType(path)
        kind.__module__, kind.__qualname__ = path, kind.__name__
        setattr(module, kind.__name__, kind)
        for depth in range(1, path.count(".") + 1):
            parent = ".".join(path.split(".")[:depth])
            monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
        monkeypatch.setitem(sys.modules, path, module)
    config = CfgNode(MODEL=CfgNode(name="hmr2"))
    config.immutable = True
    source, target = make_backbone("slim"), make_backbone("slim")
    content = {
        "state_dict": behind("backbone.", source.state_dict()),
        "hyper_parameters": config,
        "best": np.float64(0.5),
        "history": HistoryBuffer(),
        "path": Path("x"),
    }
    torch.save(content, tmp_path / "a.ckpt")
    assert load_initial_weights(target, tmp_path / "a.ckpt").coverage.share == 1
    assert not made
    torch.testing.assert_close(target.state_dict(), source.state_dict())
