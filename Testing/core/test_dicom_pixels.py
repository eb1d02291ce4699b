"""Any HU in any file's bits: nothing wraps, nothing becomes padding, nothing moves that need not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from inference_core.image.dicom_pixels import set_pixels, stored_values


@st.composite
def headers(draw):
    header = Dataset()
    header.BitsAllocated = 16
    header.BitsStored = bits = draw(st.sampled_from([12, 13, 16]))
    header.PixelRepresentation = signed = draw(st.integers(0, 1))
    header.RescaleSlope = draw(st.sampled_from(["1", "2", "0.5", "0.1", "0.9765625"]))
    header.RescaleIntercept = draw(st.sampled_from(["0", "-1024", "-1000.5", "-8192"]))
    low = -(2 ** (bits - 1)) if signed else 0
    if draw(st.booleans()):
        header.add_new("PixelPaddingValue", "SS" if signed else "US", draw(st.sampled_from([low, low + 48, 63, 0])))
        if draw(st.booleans()):
            limit = header.PixelPaddingValue + draw(st.integers(0, 5))
            header.add_new("PixelPaddingRangeLimit", "SS" if signed else "US", limit)
    return header


def limits(header):
    bits, signed = header.BitsStored, header.PixelRepresentation
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


@settings(max_examples=200, deadline=None)
@given(headers(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 3.0, 300.0, 30000.0]))
def test_what_is_stored_is_as_near_as_it_can_be(header, seed, change):
    rng = np.random.default_rng(seed)
    low, high = limits(header)
    slope, intercept = float(header.RescaleSlope), float(header.RescaleIntercept)
    original = rng.integers(low, high + 1, (8, 8))
    before = (original * slope + intercept).astype(np.float32)
    after = np.where(rng.random((8, 8)) < 0.3, before, before + change * rng.standard_normal((8, 8))).astype(np.float32)
    stored, moved = stored_values(after, before, header)

    assert stored.min() >= low
    assert stored.max() <= high
    np.testing.assert_array_equal(stored[after == before], original[after == before])
    ends = [header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit", header.get("PixelPaddingValue"))]
    padding = (stored >= ends[0]) & (stored <= ends[1]) if ends[0] is not None else np.zeros_like(stored, bool)
    was = (original >= ends[0]) & (original <= ends[1]) if ends[0] is not None else padding
    assert not (padding & ~was).any()
    error = np.abs(stored * slope + intercept - after)
    inside = (after >= low * slope + intercept) & (after <= high * slope + intercept)
    assert (error[inside] > slope * 0.51 + 1e-2).sum() <= moved
    assert error[inside].max(initial=0) <= slope * 7  # as far as the longest padding range
    again, none = stored_values((stored * slope + intercept).astype(np.float32), before, header)
    np.testing.assert_array_equal(again, stored)
    assert none == 0
    set_pixels(header, stored)
    kind = "<i2" if header.PixelRepresentation else "<u2"
    np.testing.assert_array_equal(np.frombuffer(header.PixelData, kind).reshape(8, 8), stored)
