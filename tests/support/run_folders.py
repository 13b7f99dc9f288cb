"""Run folders as the stages leave them, with made-up errors, for the tests of what reads them."""

import csv
import itertools
import json

import cv2
import numpy as np

from callbacks.person_errors import Evaluation
from callbacks.run_summary import write_summary
from datamodules.exposure import Exposure, entries
from datamodules.pseudo_gt.native import LabelWriter
from lightning_modules.scoring.protocols import PROTOCOLS

RECIPES = dict(
    zip(itertools.product((0, 1), repeat=3), ("none", "r3", "r2", "two", "r1", "r13", "r12", "three"), strict=True)
)
PEOPLE, SEQUENCES = 12, 3


def write_images(root):
    """One grey image of 200 x 180 pixels for each person."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(PEOPLE):
        cv2.imwrite(str(root / f"{i:03d}.png"), np.full((180, 200, 3), 90 + 10 * i, np.uint8))
    return root


def write_labels(folder, images, rng, ids=None):
    body = np.zeros((PEOPLE, 69), np.float32)
    body[:] = rng.normal(0, 0.15, body.shape)
    columns = {
        "id": ids or [f"coco/train/{i}" for i in range(PEOPLE)],
        "image": [f"{i:03d}.png" for i in range(PEOPLE)],
        "box": np.tile(np.float32([20, 10, 160, 160]), (PEOPLE, 1)),
        "global_orient": np.tile(np.float32([np.pi, 0, 0]), (PEOPLE, 1)),
        "body_pose": body,
        "betas": np.zeros((PEOPLE, 10), np.float32),
        "transl": np.tile(np.float32([0, 0, 40]), (PEOPLE, 1)),
        "gender": ["neutral"] * PEOPLE,
        "focal": np.full((PEOPLE, 2), 3000.0, np.float32),
        "princpt": np.tile(np.float32([100, 90]), (PEOPLE, 1)),
        "error_2d": rng.uniform(0.02, 0.1, PEOPLE).astype(np.float32),
        "visible_joints": np.full(PEOPLE, 12, np.int32),
        "max_abs_beta": rng.uniform(0, 3, PEOPLE).astype(np.float32),
    }
    provenance = {"settings": {"paths": {"body_models": "free"}}}
    with LabelWriter(folder, joint_set="coco17", image_root=str(images), provenance=provenance) as writer:
        writer.write(columns)


def write_run(folder, recipe, seed, error, images=None, auxiliary=False, init="random", prior="none", lr=0.001):
    """One run with a mean error of about ``error`` mm; returns its mean errors by metric."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, sum(map(ord, recipe))])
    hard = np.random.default_rng(0).uniform(-10, 10, PEOPLE)
    outputs = {"labels": {}, "downstream": None}
    metrics = {}
    for name, source, protocol in (("labels_coco", "pseudo_gt", "smpl24"), ("test_threedpw", "threedpw", "lsp14")):
        values = error + hard + rng.normal(0, 1, PEOPLE)
        joints = rng.uniform(0.5, 1.5, (PEOPLE, len(PROTOCOLS[protocol].joint_names))) * values[:, None]
        arrays = {f"{protocol}_pa_mpjpe": values, f"{protocol}_mpjpe": 1.5 * values, f"{protocol}_per_joint": joints}
        ids = np.array([f"coco/train/{i}" for i in range(PEOPLE)])
        if source == "threedpw":
            ids = np.array([f"threedpw/test/walk_{i % SEQUENCES:02d}/{i}/0" for i in range(PEOPLE)])
        Evaluation.of(ids, arrays).save(folder / "evaluate" / f"{name}.npz")
        for metric in ("pa_mpjpe", "mpjpe"):
            mean = float(arrays[f"{protocol}_{metric}"].mean())
            metrics[f"{source}/{protocol}_{metric}"] = {"value": mean, "low": mean - 2, "high": mean + 2}
    if images is not None:
        outputs["labels"] = {"coco": {"file": "labels_coco.npz"}}
        write_labels(folder / "labels" / "coco-train", images, rng)
        _write_stage(folder / "labels", {"tables": {"coco": "coco-train"}})
    outputs["downstream"] = {"file": "test_threedpw.npz"}
    _write_stage(folder / "evaluate", outputs)
    config = f"seed: {seed}\nannotate: {{batch_size: 16, lr: {lr}}}\ndownstream: {{batch_size: 16}}\n"
    (folder / "config.yaml").write_text(config)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["stage", "step", "train/all/loss", "val/threedpw/lsp14_pa_mpjpe"])
        writer.writerows(["annotate", step, 3 / (step + 1) + rng.uniform(0, 0.1), ""] for step in range(0, 100, 10))
        writer.writerows(["downstream", step, "", error + 50 / (step + 1)] for step in range(9, 50, 10))
    auxiliary = {"threedpw_train": 1.0} if auxiliary else {}
    write_summary(
        folder,
        {
            "label": f"{recipe}-seed{seed}", "seed": seed, "is_free_body": True, "synthetic": True,
            "recipe": {"name": recipe, "auxiliary": auxiliary, "init": init, "prior": prior},
            **entries(Exposure.told("threedpw-train", bool(auxiliary))),
            "samples_seen": {"annotate": 128}, "seconds": {"annotate": 2.0},
            "labels": None, "metrics": metrics, "versions": {},
        },
    )  # fmt: skip
    return {key: value["value"] for key, value in metrics.items()}


def _write_stage(folder, outputs):
    folder.mkdir(parents=True, exist_ok=True)
    record = {"key": {}, "hash": "", "complete": True, "outputs": outputs, "seconds": 1.0}
    (folder / "stage.json").write_text(json.dumps(record))


def write_grid(folder, seeds, drawn=True):
    """All combinations of three recipes; returns the mean errors by (levels, seed)."""
    images = write_images(folder / "images") if drawn else None
    found = {}
    for (a, b, c), name in RECIPES.items():
        for seed in seeds:
            error = 130 - 20 * a - 12 * b - 5 * c + 6 * a * b + seed
            found[(a, b, c), seed] = write_run(
                folder / f"{name}-seed{seed}", name, seed, error, images, bool(a), ("random", "pose2d")[b],
                ("none", "vposer")[c],
            )  # fmt: skip
    return found
