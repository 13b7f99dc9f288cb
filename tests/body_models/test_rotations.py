"""Rotations against SciPy, and the conventions that files and networks rely on."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from body_models import rotations


def random_matrices(*shape: int, seed: int = 0) -> torch.Tensor:
    count = int(np.prod(shape))
    matrices = Rotation.random(count, random_state=seed).as_matrix()
    return torch.tensor(matrices.reshape(*shape, 3, 3), dtype=torch.float32)


def test_axis_angle_agrees_with_scipy_also_near_zero_and_pi() -> None:
    axis = np.array([[0.0, 0.0, 0.0], [1e-8, -1e-8, -1e-8], [np.pi - 1e-4, 0.0, 0.0], [0.3, -1.2, 2.0]])
    ours = rotations.axis_angle_to_matrix(torch.tensor(axis))
    np.testing.assert_allclose(ours.numpy(), Rotation.from_rotvec(axis).as_matrix(), atol=1e-7)
    np.testing.assert_allclose(rotations.matrix_to_axis_angle(ours).numpy(), axis, atol=1e-5)


def test_sixd_is_the_first_two_columns_and_survives_zeros() -> None:
    matrix = random_matrices(5, 4)
    sixd = rotations.matrix_to_sixd(matrix)
    torch.testing.assert_close(sixd[..., :3], matrix[..., :, 0])
    torch.testing.assert_close(sixd[..., 3:], matrix[..., :, 1])
    torch.testing.assert_close(rotations.sixd_to_matrix(sixd * 3.0), matrix, atol=1e-5, rtol=0)

    zeros = torch.zeros(1, 6, requires_grad=True)
    rotations.sixd_to_matrix(zeros).sum().backward()
    assert zeros.grad is not None
    assert torch.isfinite(zeros.grad).all()


def test_geodesic_distance_agrees_with_scipy() -> None:
    a, b = random_matrices(50, seed=1), random_matrices(50, seed=2)
    expected = (Rotation.from_matrix(a.numpy()).inv() * Rotation.from_matrix(b.numpy())).magnitude()
    np.testing.assert_allclose(rotations.geodesic_distance(a, b).numpy(), expected, atol=1e-5)


def test_rotation_about_z_turns_x_towards_y() -> None:
    turned = rotations.rotation_about_z(torch.tensor(np.pi / 2)) @ torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6, rtol=0)
