import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_slice import made_slice

from inference_core.denoiser.pipeline import denoise_slice, denoise_volume, round_to
from inference_core.denoiser.tiles import MemoryLadder, run_network
from inference_core.denoiser.wavelet import low_band
from inference_core.errors import Cancelled, UserError
from inference_core.image.volume import Volume
from inference_core.models.engines import Engine, open_engine
from inference_core.models.registry import find_model

CARD = find_model("low-dose-ct", "denoise-ct")
ENGINE = open_engine(CARD)


def network(image):
    return run_network(ENGINE.run, image, CARD.multiple_of, CARD.halo)


def test_noise_goes_and_ct_numbers_stay(ct):
    after, report = denoise_volume(ct, CARD, ENGINE)
    muscle = np.zeros(ct.voxels.shape, bool)
    muscle[:, 30:50, 30:60] = True  # inside the body, away from bone and the air hole
    before_values, after_values = ct.voxels[muscle].astype(float), after.voxels[muscle].astype(float)
    assert after_values.std() < 0.5 * before_values.std()
    assert abs(after_values.mean() - before_values.mean()) < 3 * 60 / np.sqrt(muscle.sum())
    assert report.low_band_change < 0.5
    assert after.voxels.dtype == np.int16
    assert after.same_grid_as(ct)


@settings(deadline=None, max_examples=15)
@given(rows=st.integers(8, 90), columns=st.integers(8, 90), seed=st.integers(0, 99), strength=st.floats(0, 1))
def test_low_band_is_kept_in_float_on_any_shape(rows, columns, seed, strength):
    image = made_slice(rows, columns, 80, seed).astype(np.float32)
    output, _ = denoise_slice(image, network, CARD, strength)
    change = output.astype(np.float64) - image
    moved = low_band(change, CARD.wavelet_level, CARD.wavelet)
    assert output.dtype == np.float32
    assert np.abs(moved).max() < 0.02 * change.std() + 1e-3


def test_strength_zero_is_the_input_to_the_bit(ct):
    after, _ = denoise_volume(ct, CARD, ENGINE, strength=0)
    np.testing.assert_array_equal(after.voxels, ct.voxels)
    assert after.voxels is not ct.voxels


@settings(deadline=None, max_examples=8)
@given(strength=st.floats(0, 1))
def test_strength_blends_between_input_and_full(strength):
    image = made_slice(64, 64, 50).astype(np.float32)
    full, _ = denoise_slice(image, network, CARD, 1.0)
    part, _ = denoise_slice(image, network, CARD, strength)
    np.testing.assert_allclose(part, image + strength * (full - image), atol=2e-3)


def test_strength_outside_its_range_is_refused(ct):
    with pytest.raises(UserError, match="strength"):
        denoise_volume(ct, CARD, ENGINE, strength=1.2)


def test_a_slice_does_not_depend_on_its_neighbours(ct):
    whole, _ = denoise_volume(ct, CARD, ENGINE, threads=2)
    alone, _ = denoise_volume(ct.with_voxels(ct.voxels[2:3]), CARD, ENGINE, threads=1)
    np.testing.assert_array_equal(whole.voxels[2], alone.voxels[0])


def test_the_input_is_never_changed(ct):
    kept = ct.voxels.copy()
    denoise_volume(ct, CARD, ENGINE)
    np.testing.assert_array_equal(ct.voxels, kept)


def test_padding_stays_and_its_edge_does_not_leak():
    image = made_slice(120, 120, 60)
    y, x = np.mgrid[-1:1:120j, -1:1:120j]
    outside = x**2 + y**2 > 1
    image[outside] = -2000
    volume = Volume(np.rint(image)[None].astype(np.int16))
    after, report = denoise_volume(volume, CARD, ENGINE)
    assert (after.voxels[0][outside] == -2000).all()
    assert report.padding_voxels == outside.sum()
    assert report.low_band_change < 0.5
    air = ~outside & (x**2 + y**2 > 0.9)
    assert abs(after.voxels[0][air].mean() - volume.voxels[0][air].mean()) < 10


def test_clipped_noise_in_air_is_not_padding():
    rng = np.random.default_rng(0)
    air = np.maximum(-1010 + 40 * rng.standard_normal((1, 128, 128)), -1024)
    volume = Volume(np.rint(air).astype(np.int16), padding_value=-1024)
    after, report = denoise_volume(volume, CARD, ENGINE)
    assert report.padding_voxels == 0
    assert after.voxels.std() < 0.6 * volume.voxels.std()


def test_constant_slices_come_back_as_they_were(ct):
    voxels = ct.voxels.copy()
    voxels[1] = -1024
    after, report = denoise_volume(ct.with_voxels(voxels), CARD, ENGINE)
    assert (after.voxels[1] == -1024).all()
    assert report.constant_slices == 1


def test_metal_keeps_its_value(ct):
    voxels = ct.voxels.copy()
    voxels[0, 40:44, 40:44] = 20000
    after, _ = denoise_volume(ct.with_voxels(voxels), CARD, ENGINE)
    assert (after.voxels[0, 40:44, 40:44] == 20000).all()


def test_integers_are_rounded_not_truncated():
    values = np.array([-0.6, -0.4, 0.4, 0.6, 40000.0, -40000.0])
    assert round_to(values, np.dtype(np.int16)).tolist() == [-1, 0, 0, 1, 32767, -32768]


def test_onnxruntime_and_torch_agree_within_a_hundredth_of_a_hounsfield_unit():
    pytest.importorskip("torch")
    torch_engine = open_engine(CARD, "torch")
    high = np.random.default_rng(0).normal(0, 1, (1, 1, 64, 96)).astype(np.float32)
    difference = np.abs(ENGINE.run(high) - torch_engine.run(high)).max() * CARD.unit_hu
    assert difference < 0.01


@settings(deadline=None, max_examples=12)
@given(rows=st.integers(9, 150), columns=st.integers(9, 150), tile=st.integers(17, 90))
def test_tiles_give_the_whole_slice(rows, columns, tile):
    image = np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float32)
    whole = run_network(ENGINE.run, image, CARD.multiple_of, CARD.halo)
    tiled = run_network(ENGINE.run, image, CARD.multiple_of, CARD.halo, tile)
    assert np.abs(whole - tiled).max() * CARD.unit_hu < 1e-2


def test_a_halo_too_small_would_show():
    image = np.random.default_rng(0).normal(size=(120, 120)).astype(np.float32)
    whole = run_network(ENGINE.run, image, CARD.multiple_of, CARD.halo)
    tiled = run_network(ENGINE.run, image, CARD.multiple_of, 4, 40)
    assert np.abs(whole - tiled).max() * CARD.unit_hu > 0.1


def test_out_of_memory_steps_down_to_tiles_and_says_so():
    def run(x):
        if x.shape[-1] > 200:
            raise MemoryError
        return ENGINE.run(x)

    image = made_slice(300, 300, 60).astype(np.float32)[None]
    after, report = denoise_volume(Volume(image), CARD, Engine("small", "cpu", run))
    whole, _ = denoise_volume(Volume(image), CARD, ENGINE)
    assert report.tile == 128
    assert np.abs(after.voxels - whole.voxels).max() < 1e-2


def test_out_of_memory_for_good_names_the_remedy():
    def run(x):
        raise MemoryError

    with pytest.raises(UserError, match="Close other programs"):
        MemoryLadder(run, 2, 16)(np.zeros((64, 64), np.float32))


def test_progress_counts_every_slice(ct):
    seen = []
    denoise_volume(ct, CARD, ENGINE, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_cancel_stops_between_slices(ct):
    runs = []

    def run(x):
        runs.append(1)
        return ENGINE.run(x)

    with pytest.raises(Cancelled):
        denoise_volume(
            ct.with_voxels(np.tile(ct.voxels, (50, 1, 1))),
            CARD,
            Engine("counted", "cpu", run),
            threads=1,
            cancelled=lambda: len(runs) >= 3,
        )
    assert len(runs) == 3


def test_a_model_that_gives_no_numbers_writes_nothing(ct):
    broken = Engine("broken", "cpu", lambda x: np.full_like(x, np.nan))
    with pytest.raises(UserError, match="no numbers"):
        denoise_volume(ct, CARD, broken)
