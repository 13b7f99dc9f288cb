"""Weight files that fit, that fit in part, and that should never be loaded."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_modules.backbones import load_backbone, make_backbone
from lightning_modules.weights.checkpoints import CheckpointError, load_weights


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, 9), nn.BatchNorm1d(9), nn.Linear(9, 1))


def test_coverage_counts_elements_and_ignores_num_batches_tracked(tmp_path: Path) -> None:
    state = network().state_dict()
    del state["2.weight"], state["1.num_batches_tracked"]
    torch.save(state, tmp_path / "a.pt")
    coverage = load_weights(network(), tmp_path / "a.pt")
    total = 10 * 9 + 9 + 4 * 9 + 9 + 1
    assert coverage.share == pytest.approx((total - 9) / total)
    assert coverage.missing == ("2.weight",)


def test_prefix_and_key_map(tmp_path: Path) -> None:
    source, target = network(), network()
    names = {"0.": "first.", "1.": "norm.", "2.": "last."}
    state = {f"net.{names[key[:2]]}{key[2:]}": value for key, value in source.state_dict().items()}
    torch.save({"state_dict": state | {"other.weight": torch.zeros(3)}}, tmp_path / "a.pt")
    coverage = load_weights(
        target, tmp_path / "a.pt", {new: old for old, new in names.items()}, prefix=["", "net.", "none."]
    )
    assert coverage.share == 1
    torch.testing.assert_close(target.state_dict(), source.state_dict())


@pytest.mark.parametrize("prefix", ["", "backbone.", "module."])
def test_backbone_in_the_layouts_of_others(tmp_path: Path, prefix: str) -> None:
    source, target = make_backbone("slim"), make_backbone("slim")
    state = {prefix + key: value for key, value in source.state_dict().items()}
    torch.save(state | {"fc.weight": torch.zeros(1000, 192)}, tmp_path / "a.pth")
    assert load_backbone(target, tmp_path / "a.pth", 0.9).share == 1
    torch.testing.assert_close(target.state_dict(), source.state_dict())


def test_other_architecture_is_an_error_that_changes_nothing(tmp_path: Path) -> None:
    torch.save(make_backbone("resnet18").state_dict(), tmp_path / "a.pt")
    target = make_backbone("slim")
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"a\.pt fills .*% of ResNet, below 90%.*other shape: .*min_coverage"):
        load_weights(target, tmp_path / "a.pt")
    torch.testing.assert_close(target.state_dict(), before)
    assert load_weights(target, tmp_path / "a.pt", min_coverage=0).share < 0.5


class _Hostile:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("hostile-was-here",)


def test_damaged_missing_and_hostile_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(network().state_dict(), "good.pt")
    content = Path("good.pt").read_bytes()
    for name, damaged in {"half.pt": content[: len(content) // 2], "empty.pt": b"", "text.pt": b"not found"}.items():
        Path(name).write_bytes(damaged)
        with pytest.raises(CheckpointError, match=name):
            load_weights(network(), name)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_weights(network(), "none.pt")
    torch.save({"state_dict": _Hostile()}, "hostile.pt")
    with pytest.raises(CheckpointError, match="could run code"):
        load_weights(network(), "hostile.pt")
    assert not Path("hostile-was-here").exists()
    torch.save([1, 2], "list.pt")
    with pytest.raises(CheckpointError, match="no named tensors"):
        load_weights(network(), "list.pt")
    torch.save({key: value * torch.nan for key, value in network().state_dict().items()}, "nan.pt")
    with pytest.raises(CheckpointError, match="NaN"):
        load_weights(network(), "nan.pt")
