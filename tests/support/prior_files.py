"""Random weights under the names and shapes of published pose priors, for tests on every floor."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

WIDTH, LATENT = 512, 32
# Names and shapes in the published v1 checkpoint.
V1 = {
    **{f"bodyprior_enc_bn1.{name}": (63,) for name in ("weight", "bias", "running_mean", "running_var")},
    "bodyprior_enc_fc1.weight": (WIDTH, 63),
    "bodyprior_enc_fc1.bias": (WIDTH,),
    **{f"bodyprior_enc_bn2.{name}": (WIDTH,) for name in ("weight", "bias", "running_mean", "running_var")},
    "bodyprior_enc_fc2.weight": (WIDTH, WIDTH),
    "bodyprior_enc_fc2.bias": (WIDTH,),
    "bodyprior_enc_mu.weight": (LATENT, WIDTH),
    "bodyprior_enc_mu.bias": (LATENT,),
    "bodyprior_enc_logvar.weight": (LATENT, WIDTH),
    "bodyprior_enc_logvar.bias": (LATENT,),
    "bodyprior_dec_fc1.weight": (WIDTH, LATENT),
    "bodyprior_dec_fc1.bias": (WIDTH,),
    "bodyprior_dec_fc2.weight": (WIDTH, WIDTH),
    "bodyprior_dec_fc2.bias": (WIDTH,),
    "bodyprior_dec_out.weight": (126, WIDTH),
    "bodyprior_dec_out.bias": (126,),
}
V2 = {
    "encoder_net.1": (63,),
    "encoder_net.2": (WIDTH, 63),
    "encoder_net.4": (WIDTH,),
    "encoder_net.6": (WIDTH, WIDTH),
    "encoder_net.7": (WIDTH, WIDTH),
    "encoder_net.8.mu": (LATENT, WIDTH),
    "encoder_net.8.logvar": (LATENT, WIDTH),
    "decoder_net.0": (WIDTH, LATENT),
    "decoder_net.3": (WIDTH, WIDTH),
    "decoder_net.5": (126, WIDTH),
}


def random_tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(*shape, generator=generator) / shape[-1] ** 0.5
        tensors[name] = values.abs() + 0.5 if name.endswith("running_var") else values
        if name.endswith("running_mean"):
            tensors[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(7)
    return tensors


def v2_tensors() -> dict[str, torch.Tensor]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in V2.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        if len(shape) == 1:
            shapes |= {f"{name}.running_mean": shape, f"{name}.running_var": shape}
    return random_tensors(shapes)


def v1_tensors() -> dict[str, torch.Tensor]:
    return random_tensors(V1)


def smplify_mixture(components: int = 8, size: int = 69) -> dict[str, NDArray]:
    """What SMPLify's gmm_08.pkl holds: a mixture over all 23 joints, hands included."""
    rng = np.random.default_rng(0)
    factor = rng.normal(0, 0.1, (components, size, size)) / np.sqrt(size)
    return {
        "means": rng.normal(0, 0.2, (components, size)),
        "covars": factor @ factor.transpose(0, 2, 1) + 0.05 * np.eye(size),
        "weights": np.full(components, 1 / components),
    }
