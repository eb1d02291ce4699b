"""Small made CTs that the tests share."""

from __future__ import annotations

import numpy as np
import pytest
from made_slice import made_slice

from inference_core.image.volume import Volume


@pytest.fixture
def ct() -> Volume:
    """Four noisy slices of 96 x 80 pixels, oblique in space."""
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    voxels = np.stack([made_slice(96, 80, 60, seed, seed / 4) for seed in range(4)])
    return Volume(
        np.rint(voxels).astype(np.int16),
        spacing=(0.7, 0.7, 3.0),
        origin=(-30.5, 12.25, 100.0),
        direction=tuple(turn.ravel()),
        modality="CT",
    )


@pytest.fixture(autouse=True)
def _no_models_of_the_users(tmp_path_factory, monkeypatch):
    """Tests see the bundled models only."""
    monkeypatch.setenv("FAITHFUL_IMAGING_MODELS", str(tmp_path_factory.mktemp("models")))
