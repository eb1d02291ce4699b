"""Voxels and geometry that cross to the worker's process and back are the same, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inference_core.errors import UserError
from inference_core.image.exchange import NRRD_TYPES, read_exchange, write_exchange
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume


@settings(max_examples=40, deadline=None)
@given(
    voxels=hnp.arrays(
        st.sampled_from([np.dtype(name) for name in NRRD_TYPES]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_what_is_written_is_read_to_the_bit(voxels, tmp_path_factory):
    path = write_exchange(voxels, np.eye(4), tmp_path_factory.mktemp("exchange"))
    assert np.array_equal(read_exchange(path), voxels)
    out = np.empty_like(voxels, order="C")
    assert read_exchange(path, out) is out
    assert np.array_equal(out, voxels)


def test_worker_reads_the_oblique_geometry(tmp_path):
    turn = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1.0]]) @ np.array([[1, 0, 0], [0, 0, -1], [0, 1.0, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn * [0.4, 0.5, 1.25]
    matrix[:3, 3] = [-101.125, 33.3, 1e-3]
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = read_volume(write_exchange(voxels, matrix, tmp_path))
    assert np.array_equal(volume.voxels, voxels)
    assert np.allclose(volume.index_to_lps, matrix, atol=1e-9)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32", "float64", "uint8"])
def test_what_the_worker_writes_comes_back(dtype, tmp_path):
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    write_volume(Volume(voxels, file_type=np.dtype(dtype)), tmp_path / "output.nhdr")
    back = read_exchange(tmp_path / "output.nhdr")
    assert back.dtype == np.dtype(dtype)
    assert np.array_equal(back, voxels)


def test_sliced_view_is_written_as_it_looks(tmp_path):
    voxels = np.arange(4 * 6 * 8, dtype=np.int16).reshape(4, 6, 8)[::2, ::-1, 1::3]
    assert np.array_equal(read_exchange(write_exchange(voxels, np.eye(4), tmp_path)), voxels)


def test_wrong_or_cut_short_results_are_refused(tmp_path):
    voxels = np.zeros((2, 3, 4), np.int16)
    path = write_exchange(voxels, np.eye(4), tmp_path)
    for out in (np.empty((2, 4, 3), np.int16), np.empty((2, 3, 4), np.float32)):
        with pytest.raises(UserError, match="agreed"):
            read_exchange(path, out)
    (tmp_path / "input.raw").write_bytes(b"\0" * 40)
    with pytest.raises(UserError, match="8 bytes are missing"):
        read_exchange(path)
    path.write_text("NRRD0004\ntype: short\n")
    with pytest.raises(UserError, match="sizes"):
        read_exchange(path)


def test_what_is_no_number_is_refused(tmp_path):
    with pytest.raises(UserError, match="complex"):
        write_exchange(np.zeros((2, 2, 2), np.complex64), np.eye(4), tmp_path)
