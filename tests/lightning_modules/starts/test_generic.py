"""The start without poses: labels read from painted people, and a network that learns them."""

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from body_models.joint_sets import BODY_JOINT_INDEX
from lightning_modules.annotator import AnnotatorModule, Starts
from lightning_modules.starts.appearance_labels import CLASSES, COLOURS, CONTRASTS, UNKNOWN, appearance_labels
from lightning_modules.starts.generic import GenericModule


def painted(make_batch, size: int = 1) -> dict:
    """A grey picture with a person in a red shirt with white stripes and blue trousers."""
    batch = make_batch(size, 64)
    image = torch.full((size, 3, 64, 64), 128, dtype=torch.uint8)
    image[:, :, 10:36, 16:48] = torch.tensor([220, 20, 20], dtype=torch.uint8).view(3, 1, 1)
    image[:, :, 10:36, 29:33] = 255
    image[:, :, 36:62, 16:48] = torch.tensor([30, 30, 200], dtype=torch.uint8).view(3, 1, 1)
    places = {
        "left_shoulder": (46, 12), "right_shoulder": (18, 12), "lsp_left_hip": (42, 36), "lsp_right_hip": (22, 36),
        "left_knee": (42, 58), "right_knee": (22, 58),
    }  # fmt: skip
    batch["image"], batch["joints_2d_conf"] = image, torch.zeros_like(batch["joints_2d_conf"])
    for name, place in places.items():
        batch["joints_2d"][:, BODY_JOINT_INDEX[name]] = torch.tensor(place, dtype=torch.float32)
        batch["joints_2d_conf"][:, BODY_JOINT_INDEX[name]] = 1
    return batch


def words(batch: dict) -> dict[str, str]:
    names = {"colour": COLOURS, "contrast": CONTRASTS}
    labels = appearance_labels(batch)
    return {name: names[name.split("_")[1]][value] if value >= 0 else "?" for name, (value,) in labels.items()}


def test_labels_say_what_is_painted(make_batch) -> None:
    batch = painted(make_batch)
    assert words(batch) == {
        "shirt_colour": "red", "trousers_colour": "blue", "surroundings_colour": "grey",
        "shirt_contrast": "patterned", "surroundings_contrast": "plain",
    }  # fmt: skip
    batch["image"][:, :, 10:36] = torch.tensor([20, 180, 30], dtype=torch.uint8).view(3, 1, 1)
    batch["image"][:, :, 36:] = 10
    found = words(batch)
    assert (found["shirt_colour"], found["trousers_colour"], found["shirt_contrast"]) == ("green", "dark", "plain")


def test_what_is_not_annotated_or_beyond_the_image_is_unknown(make_batch) -> None:
    batch = painted(make_batch)
    batch["joints_2d_conf"][:, BODY_JOINT_INDEX["right_shoulder"]] = 0
    batch["joints_2d_conf"][:, BODY_JOINT_INDEX["left_knee"]] = 0  # the other thigh is left
    assert words(batch)["shirt_colour"] == "?" and words(batch)["trousers_colour"] == "blue"
    batch["joints_2d_conf"][:] = 0
    batch["image"][:, :, :, :4] = 0  # beyond the image
    assert set(words(batch).values()) == {"?", "grey", "plain"}
    batch["image"][:] = 0
    assert all(value.item() == UNKNOWN for value in appearance_labels(batch).values())
    # A batch in which nothing is known teaches nothing, and stays in the graph.
    module = GenericModule("slim", 64)
    scores = module(batch)
    assert {name: score.shape for name, score in scores.items()} == {name: (1, n) for name, n in CLASSES.items()}


def test_learns_appearance_and_hands_its_backbone_on(make_batch, tmp_path) -> None:
    torch.manual_seed(0)
    batch = make_batch(8)
    module = GenericModule("slim", 48, lr=3e-3)
    fit = pl.Trainer(
        max_steps=30, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    loader = DataLoader([batch] * 30, batch_size=None)
    fit.fit(module, loader)
    logged = fit.validate(module, loader, verbose=False)[0]
    assert set(logged) == {f"val/all/{name}" for name in CLASSES}
    labels = appearance_labels(batch)
    right = [(score.argmax(dim=1) == labels[name]).float().mean() for name, score in module.train()(batch).items()]
    assert torch.stack(right).mean() > 0.9
    fit.save_checkpoint(tmp_path / "generic.ckpt")
    annotator = AnnotatorModule("slim", 48, starts=Starts(backbone_weights=tmp_path / "generic.ckpt"))
    torch.testing.assert_close(annotator.backbone.state_dict(), module.backbone.state_dict())
