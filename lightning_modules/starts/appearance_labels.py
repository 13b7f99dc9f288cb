"""What people wear and where they are, read from the pictures: labels for a start that knows people but not poses.

No data set here says what people wear, but every picture shows it. So the colours at annotated joints are sorted into
classes: those of the shirt between shoulders and hips, of the trousers along the thighs, of the surroundings along the
crop's border, and how much shirt and surroundings vary (plain or patterned, calm or cluttered). A network that is asked
for them learns edges, colours, textures and what a person looks like, but is never asked where a joint is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from body_models.contracts import Batch
from body_models.spec import SMPL

COLOURS = ("dark", "grey", "white", "red", "yellow", "green", "cyan", "blue", "magenta")
CONTRASTS = ("plain", "shaded", "patterned")
CLASSES = {
    "shirt_colour": len(COLOURS),
    "trousers_colour": len(COLOURS),
    "surroundings_colour": len(COLOURS),
    "shirt_contrast": len(CONTRASTS),
    "surroundings_contrast": len(CONTRASTS),
}
"""Each label and its number of classes."""

UNKNOWN = -1
_DARK, _COLOURLESS, _BRIGHT = 0.25, 0.12, 0.6
# Standard deviations of the grey value that divide the people of the default world into about equal thirds.
_CONTRAST_LIMITS = {"shirt_contrast": (0.05, 0.09), "surroundings_contrast": (0.13, 0.19)}
_SHOULDERS, _HIPS = ("left_shoulder", "right_shoulder"), ("lsp_left_hip", "lsp_right_hip")
_KNEES = ("left_knee", "right_knee")
_BORDER = 0.03


class Region(NamedTuple):
    """Places on the crops.

    Attributes:
        points: (B, P, 2) x, y as fractions of the crop's side.
        known: (B, P) bool.
    """

    points: Tensor
    known: Tensor


def appearance_labels(batch: Batch) -> dict[str, Tensor]:
    """(B,) class of each label in :data:`CLASSES`, :data:`UNKNOWN` where the joints that it needs are not annotated."""
    shirt = _colours(batch, _shirt(batch))
    trousers = _colours(batch, _trousers(batch))
    surroundings = _colours(batch, _surroundings(batch))
    return {
        "shirt_colour": _colour_class(*shirt),
        "trousers_colour": _colour_class(*trousers),
        "surroundings_colour": _colour_class(*surroundings),
        "shirt_contrast": _contrast_class(*shirt, _CONTRAST_LIMITS["shirt_contrast"]),
        "surroundings_contrast": _contrast_class(*surroundings, _CONTRAST_LIMITS["surroundings_contrast"]),
    }


def _joints(batch: Batch, names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    index = [SMPL.index[name] for name in names]
    return batch["joints_2d"][:, index] / batch["image"].shape[-1], batch["joints_2d_conf"][:, index] > 0


def _shirt(batch: Batch) -> Region:
    (top, top_known), (bottom, bottom_known) = _joints(batch, _SHOULDERS), _joints(batch, _HIPS)
    across = torch.linspace(0.25, 0.75, 4, device=top.device).view(-1, 1, 1)
    down = torch.linspace(0.15, 0.75, 5, device=top.device).view(-1, 1)
    # (B, 4, 5, 2): along both lines, then from one to the other.
    shoulders, hips = (torch.lerp(line[:, None, None, 0], line[:, None, None, 1], across) for line in (top, bottom))
    points = torch.lerp(shoulders, hips, down).flatten(1, 2)
    known = (top_known & bottom_known).all(dim=1, keepdim=True)
    return Region(points, known.expand(points.shape[:2]))


def _trousers(batch: Batch) -> Region:
    (hips, hips_known), (knees, knees_known) = _joints(batch, _HIPS), _joints(batch, _KNEES)
    down = torch.linspace(0.3, 0.8, 5, device=hips.device).view(-1, 1)
    points = torch.lerp(hips[:, :, None], knees[:, :, None], down)
    known = (hips_known & knees_known)[:, :, None].expand(points.shape[:3])
    return Region(points.flatten(1, 2), known.flatten(1, 2))


def _surroundings(batch: Batch) -> Region:
    along = torch.linspace(_BORDER, 1 - _BORDER, 9, device=batch["image"].device)
    low, high = torch.full_like(along, _BORDER), torch.full_like(along, 1 - _BORDER)
    sides = [torch.stack(pair, dim=-1) for pair in ((along, low), (along, high), (low, along), (high, along))]
    points = torch.cat(sides).expand(len(batch["image"]), -1, -1)
    return Region(points, torch.ones(points.shape[:2], dtype=torch.bool, device=points.device))


def _colours(batch: Batch, region: Region) -> tuple[Tensor, Tensor]:
    """(B, P, 3) colours in [0, 1], and (B, P) which are of the picture."""
    points = region.points.where(region.known[..., None], 0.0)
    grid = (2 * points - 1).unsqueeze(1).float()
    colours = F.grid_sample(batch["image"].float() / 255, grid, align_corners=False).squeeze(2).mT
    inside = ((points >= 0) & (points <= 1)).all(dim=-1)
    # Crops are black where they reach beyond the image.
    return colours, region.known & inside & (colours.amax(dim=-1) > 0)


def _colour_class(colours: Tensor, known: Tensor) -> Tensor:
    count = known.sum(dim=1)
    mean = (colours * known[..., None]).sum(dim=1) / count.clamp(min=1)[:, None]
    red, green, blue = mean.unbind(dim=-1)
    value, low = mean.amax(dim=-1), mean.amin(dim=-1)
    spread = value - low
    sector = spread.clamp(min=1e-6)
    hue = torch.where(
        value == red, (green - blue) / sector,
        torch.where(value == green, 2 + (blue - red) / sector, 4 + (red - green) / sector),
    )  # fmt: skip
    coloured = COLOURS.index("red") + torch.round(hue).long() % 6
    colourless = torch.where(value > _BRIGHT, COLOURS.index("white"), COLOURS.index("grey"))
    found = torch.where(spread < _COLOURLESS * value, colourless, coloured)
    found = torch.where(value < _DARK, COLOURS.index("dark"), found)
    return torch.where(count > 0, found, UNKNOWN)


def _contrast_class(colours: Tensor, known: Tensor, limits: tuple[float, float]) -> Tensor:
    grey, count = colours.mean(dim=-1), known.sum(dim=1)
    mean = (grey * known).sum(dim=1) / count.clamp(min=1)
    deviation = ((grey - mean[:, None]).square() * known).sum(dim=1).div(count.clamp(min=1)).sqrt()
    found = torch.bucketize(deviation, deviation.new_tensor(limits))
    return torch.where(count > 1, found, UNKNOWN)
