"""Maps of embeddings."""

import numpy as np
import pytest

from mar.embedding.projection import project
from mar.errors import InputError


def test_neighbours_stay_together_and_the_result_is_repeatable():
    generator = np.random.default_rng(0)
    directions = np.repeat(generator.standard_normal((3, 16)), 12, axis=0)
    lengths = generator.uniform(0.1, 10, (36, 1))  # which the angles between them do not tell
    vectors = lengths * (directions + 0.05 * generator.standard_normal((36, 16)))
    points = project(vectors)
    assert points.shape == (36, 2)
    assert points.min() >= 0
    assert points.max() <= 1
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(distances.argmin(axis=1) // 12, np.arange(36) // 12)
    np.testing.assert_array_equal(points, project(vectors))


def test_embeddings_that_are_all_alike_are_one_point():
    """scikit-learn's t-SNE crashes on them."""
    assert project(np.ones((40, 4))).tolist() == [[0.5, 0.5]] * 40


def test_two_points_are_no_map():
    with pytest.raises(InputError, match="at least three embeddings"):
        project(np.eye(2))
