"""EFT [1]: fine-tunes a mesh network to each person's 2D joints, and takes what it then says of that person.

The network is never changed: each person begins again from a copy of its weights. With ``parts="head"`` every person
of a chunk has a head of its own, all tuned at once (``torch.func``), on features that are computed once; ``"all"``
tunes the whole network, one person after the other, as the authors do. Statistics of BatchNorm stay as trained.

The objective is that of the published code [2], without its special treatment of hips and ankles, as joints are
compared by definition here (:mod:`body_models.joint_sets`), and without its penalty on cameras of negative scale, which
cameras here cannot have.

[1] Joo et al., Exemplar Fine-Tuning for 3D Human Model Fitting Towards In-the-Wild 3D Human Pose Estimation, 3DV 2021.
[2] eft/train/eftFitter.py, https://github.com/facebookresearch/eft.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from body_models.contracts import Batch, Prediction
from lightning_modules.evidence import Evidence
from lightning_modules.fitting.refinement import choose_people
from lightning_modules.networks.network import MeshNetwork

PARTS = ("head", "all")
JOINTS_WEIGHT, BETAS_WEIGHT = 5.0, 0.001
"""Of the mean squares of joints, in half crop sides, and of betas [2]."""
_CHUNK = 16  # heads of so many people are in memory at once, four times over with Adam's statistics


class EFT(pl.LightningModule):
    """Says of each person what a network says after it was fine-tuned to that person.

    Args:
        network: trained; says rotations.
        steps: of Adam for each person; the best is kept.
        lr: Adam's learning rate; [2] takes 5e-6 for a whole ResNet-50.
        parts: one of :data:`PARTS`.

    Raises:
        ValueError: no such part, or a network of vertices alone.
    """

    mirror_tells: ClassVar[bool] = False

    def __init__(self, network: MeshNetwork, steps: int = 20, lr: float = 5e-6, parts: str = "head") -> None:
        super().__init__()
        if parts not in PARTS:
            msg = f"no part of a network named {parts!r}; there are: {', '.join(PARTS)}"
            raise ValueError(msg)
        if not network.says_rotations:
            msg = "EFT tunes networks that predict rotations and shape; this one predicts vertices alone"
            raise ValueError(msg)
        self.network = network
        self.steps, self.lr, self.parts = steps, lr, parts
        self.eval()

    @property
    def evidence(self) -> str:
        """What it looks at: the joints that it tunes to, and what the network sees."""
        return "joints" if self.network.evidence == "joints" else "both"

    def train(self, mode: bool = True) -> EFT:
        # Batch statistics of one person would be noise, and dropout a different objective in each step.
        return super().train(False)

    def forward(self, batch: Batch, start: Prediction | None = None) -> Prediction:
        """Bodies and crop cameras for the people of a batch.

        Args:
            batch: of people without augmentation.
            start: what the network said; not looked at, since the first step finds it again.
        """
        people, size = len(batch["id"]), _CHUNK if self.parts == "head" else 1
        # Lightning predicts in inference mode, whose tensors no gradient may pass through: copies may.
        with torch.inference_mode(False), torch.enable_grad():
            parts = [self._tune(_rows(batch, first, first + size)) for first in range(0, people, size)]
        return _join(parts)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """As :meth:`lightning_modules.mesh_module.MeshModule.predict_step`."""
        return {"id": batch["id"], "source": batch["source"], "prediction": self(batch)}

    def _tune(self, batch: Batch) -> Prediction:
        weights, predict = self._own_heads(batch) if self.parts == "head" else self._whole(batch)
        optimizer = torch.optim.Adam(weights.values(), lr=self.lr, fused=True)
        best, lowest = None, batch["joints_2d"].new_tensor(torch.inf)
        for step in range(self.steps + 1):
            prediction = predict(weights)
            losses = objective(batch, prediction)
            better = losses.detach() < lowest
            found = _detached(prediction)
            best = found if best is None else choose_people(better, found, best)
            lowest = torch.minimum(losses.detach(), lowest)
            if step < self.steps:
                optimizer.zero_grad()
                losses.sum().backward()
                optimizer.step()
        assert best is not None
        return best

    def _own_heads(self, batch: Batch) -> tuple[dict[str, Tensor], Callable[[dict[str, Tensor]], Prediction]]:
        """Weights of a head for each person, and what they lead to."""
        network, people = self.network, len(batch["id"])
        with torch.no_grad():
            features, evidence = network.encode(batch)
        assert isinstance(features, Tensor)  # of several maps only heads of vertices know
        weights = {
            name: value.detach().expand(people, *value.shape).clone().requires_grad_()
            for name, value in network.head.named_parameters()
        }

        def one(weights: dict[str, Tensor], features: Tensor, known: dict[str, Tensor]) -> dict[str, Tensor]:
            of_one = Evidence.from_tensors(known, network.input_size).of_one()
            return functional_call(network.head, weights, (features.unsqueeze(0), of_one))

        def predict(weights: dict[str, Tensor]) -> Prediction:
            # Attention in plain operations: vmap would run the fused ones person by person.
            with sdpa_kernel(SDPBackend.MATH):
                out = vmap(one)(weights, features, evidence.tensors())
            return network.decode({name: value.squeeze(1) for name, value in out.items()}, evidence)

        return weights, predict

    def _whole(self, batch: Batch) -> tuple[dict[str, Tensor], Callable[[dict[str, Tensor]], Prediction]]:
        """A copy of all weights that were trained, for a batch of one person; and what they lead to."""
        # A pose prior in the network is frozen.
        trained = {name: value for name, value in self.network.named_parameters() if value.requires_grad}
        weights = {name: value.detach().clone().requires_grad_() for name, value in trained.items()}
        return weights, lambda weights: functional_call(self.network, weights, (batch,))


def objective(batch: Batch, prediction: Prediction) -> Tensor:
    """(B,) what is minimised for each person: squared 2D errors, and betas."""
    conf, half = batch["joints_2d_conf"], batch["image"].shape[-1] / 2
    target = batch["joints_2d"].where(conf.unsqueeze(-1) > 0, 0.0)
    square = ((prediction.joints_2d - target) / half).square().mean(dim=-1)
    total = conf.sum(dim=1)
    joints = (square * conf).sum(dim=1) / total.where(total > 0, 1.0)
    _, _, betas = prediction.parameters()
    return JOINTS_WEIGHT * joints + BETAS_WEIGHT * betas.square().mean(dim=1)


def _rows(batch: Batch, start: int, stop: int) -> Batch:
    rows: Any = {
        name: value[start:stop].clone() if isinstance(value, Tensor) else value[start:stop]  # type: ignore[index]
        for name, value in batch.items()
    }
    return rows


def _map(prediction: Prediction, change: Callable[[str, Tensor], Tensor]) -> Prediction:
    parts: dict[str, Any] = {
        name: change(name, value) if isinstance(value, Tensor) else None for name, value in vars(prediction).items()
    }
    return Prediction(**parts)


def _detached(prediction: Prediction) -> Prediction:
    """Without the graph, and without what only the network's own losses look at."""
    return _map(prediction, lambda _, value: value.detach())


def _join(parts: list[Prediction]) -> Prediction:
    return _map(parts[0], lambda name, _: torch.cat([getattr(part, name) for part in parts]))
