"""Settings of what reads 2D joints: stage lift, and the slips that joints get in training."""

from __future__ import annotations

from dataclasses import dataclass, field

from experiments.settings.options import option, sized


@dataclass
class LiftViews:
    """Where the bodies of stage lift are seen from; wider than the people to annotate."""

    frontal: float = option(0.5, "Share of the people who face the camera by and large.", at_least=0, at_most=1)
    yaw_deg: float = option(
        50.0, "Standard deviation of their turn, degrees; the others are turned anyhow.", at_least=0
    )
    pitch_deg: float = option(16.0, "Standard deviation of the camera's pitch, degrees.", at_least=0)
    roll_deg: float = option(8.0, "Standard deviation of its roll, degrees.", at_least=0)
    tilt_deg: float = option(10.0, "Standard deviation of how far people lean as a whole, degrees.", at_least=0)
    lying: float = option(0.15, "Share of the people who lean five times as far.", at_least=0, at_most=1)
    nearest: float = option(1.8, "Least distance to the camera, metres.", above=0)
    farthest: float = option(14.0, "Largest distance, metres; nearer is more frequent.", above=0)
    box_scale: float = option(0.1, "Standard deviation of the box's size, relative to that of the joints.", at_least=0)
    box_shift: float = option(0.03, "Standard deviation of its place, in box sides.", at_least=0)
    shape: float = option(1.0, "Standard deviation of the shape's coefficients.", at_least=0)


@dataclass
class Lift:
    """Stage lift: what reads 2D joints, trained on projections of recorded poses, without pictures."""

    bodies: int = sized(
        100, 50_000, 50_000, 500_000, "Bodies that are posed once and seen again and again.", at_least=1
    )
    steps: int = sized(20, 4000, 4000, 60_000, "Steps of the training.", at_least=1)
    batch_size: int = sized(32, 256, 256, 512, "People per step and process.", at_least=1)
    lr: float = option(1e-3, "Learning rate of Adam.", above=0)
    file: str | None = option(None, "Checkpoint of an annotator of joints to take instead of training one.")
    views: LiftViews = field(default_factory=LiftViews)


@dataclass
class Slips:
    """What is done to joints that are read in training, so that the slips of annotators do not become labels."""

    drop: float = option(
        0.5, "Largest share of a person's joints that are taken away; most lose few.", at_least=0, at_most=1
    )
    limbs: float = option(0.1, "Share of the people who lose an arm or a leg.", at_least=0, at_most=1)
    nothing: float = option(0.02, "Share of the people who lose all joints.", at_least=0, at_most=1)
    jitter: float = option(
        0.015, "Standard deviation of a joint's place, crop widths, of half of the people.", at_least=0
    )
    exchange: float = option(0.02, "Share of the people whose left and right are exchanged.", at_least=0, at_most=1)
