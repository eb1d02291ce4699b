"""How networks are run: together or alone, in bfloat16 where it is allowed, with memory that is kept."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from made_slice import made_slice

from inference_core.denoiser.pipeline import denoise_volume
from inference_core.errors import UserError
from inference_core.image.volume import Volume
from inference_core.models.engines import Engine, open_engine
from inference_core.models.registry import find_model

CARD = find_model("low-dose-ct", "denoise-ct")


def volume(slices=7):
    voxels = np.stack([made_slice(60, 76, 60, seed) for seed in range(slices)]).astype(np.int16)
    voxels[2] = -1024  # no network runs for it
    voxels[3, :20, :20] = -2000  # padding in a corner
    return Volume(voxels)


@pytest.mark.parametrize(("batch", "largest"), [(3, 3), (4, 3), (100, 6)])  # one of the first four is constant
def test_slices_in_batches_come_out_as_alone(batch, largest):
    engine = open_engine(CARD)
    sizes = []

    def run(x):
        sizes.append(len(x))
        return np.concatenate([engine.run(one[None]) for one in x])

    alone, said = denoise_volume(volume(), CARD, engine)
    together, told = denoise_volume(volume(), CARD, Engine("gpu", "cuda", run, batch=batch))
    np.testing.assert_array_equal(together.voxels, alone.voxels)
    assert max(sizes) == largest
    assert (told.slices, told.constant_slices, told.padding_voxels) == (7, 1, said.padding_voxels)
    assert told.low_band_change == said.low_band_change


def test_a_batch_that_does_not_fit_is_run_slice_by_slice_before_it_is_tiled():
    engine = open_engine(CARD)

    def run(x):
        if len(x) > 1:
            raise MemoryError
        return engine.run(x)

    after, report = denoise_volume(volume(), CARD, Engine("gpu", "cuda", run, batch=4))
    alone, _ = denoise_volume(volume(), CARD, engine)
    np.testing.assert_array_equal(after.voxels, alone.voxels)
    assert report.tile is None


def test_an_engine_that_asks_for_tiles_gets_them():
    engine, shapes = open_engine(CARD), []

    def run(x):
        shapes.append(x.shape[2:])
        return engine.run(x)

    image = Volume(made_slice(300, 300, 60).astype(np.int16)[None])
    tiled, report = denoise_volume(image, CARD, Engine("paging", "cpu", run, tile=128))
    whole, _ = denoise_volume(image, CARD, engine)
    assert report.tile == 128
    assert max(shapes) < (300, 300)
    assert np.abs(tiled.voxels - whole.voxels).max() <= 1  # one rounding step, where a half fell to the other side


def papers_model(folder, monkeypatch):
    """A model of the papers' network with weights that change an image as a trained one does."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from inference_core.models.card import Card, card_from, sha256_of
    from inference_core.models.networks import build_network

    torch.manual_seed(0)
    network = build_network("rrdb_sn", {"spectral_norm": False})
    for block in network.blocks:
        for layer in block:
            torch.nn.init.kaiming_normal_(layer.weight)
    torch.nn.init.normal_(network.last.weight, std=0.05)
    save_file(network.state_dict(), folder / "papers.safetensors")
    text = CARD.text | {
        "id": "papers",
        "architecture": {"name": "rrdb_sn", "arguments": {"spectral_norm": False}},
        "input": CARD.text["input"] | {"unit_hu": 2000.0, "multiple_of": 1, "halo": 17},
        "sha256": {"safetensors": sha256_of(folder / "papers.safetensors")},
    }
    card = card_from(text, folder / "papers.json")
    assert isinstance(card, Card)
    return card


def bfloat16(monkeypatch, there=True):
    import torch

    found = {"avx512_bf16": there, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)


def test_the_papers_network_in_bfloat16_stays_within_half_a_hounsfield_unit(tmp_path, monkeypatch):
    card = papers_model(tmp_path, monkeypatch)
    bfloat16(monkeypatch)
    image = Volume(made_slice(96, 90, 60).astype(np.float32)[None])
    exact, _ = denoise_volume(image, card, open_engine(card, "torch"))
    engine = open_engine(card, precision="bfloat16")
    rounded, _ = denoise_volume(image, card, engine)
    assert (engine.name, engine.precision) == ("torch", "bfloat16")
    difference = np.abs(exact.voxels - rounded.voxels).max()
    assert 0 < difference < 0.5
    assert np.abs(exact.voxels - image.voxels).max() > 20  # and the network does something


@pytest.mark.parametrize(
    ("arguments", "there", "said"),
    [
        (("torch", "cpu", "bfloat16"), False, "no instructions"),
        (("onnxruntime", "cpu", "bfloat16"), True, "float32"),
        (("torch", "cpu", "float16"), True, "no precision"),
    ],
)
def test_bfloat16_is_refused_where_it_would_do_harm(tmp_path, monkeypatch, arguments, there, said):
    card = papers_model(tmp_path, monkeypatch)
    bfloat16(monkeypatch, there)
    with pytest.raises(UserError, match=said):
        open_engine(card, *arguments)


def test_other_networks_have_no_bfloat16(monkeypatch):
    pytest.importorskip("torch")
    bfloat16(monkeypatch)
    with pytest.raises(UserError, match="float32 only"):
        open_engine(CARD, precision="bfloat16")


def test_without_glibc_wide_networks_are_run_in_tiles(tmp_path, monkeypatch):
    card = papers_model(tmp_path, monkeypatch)
    monkeypatch.setattr("inference_core.models.allocator.ctypes.CDLL", lambda name: object())
    assert open_engine(card, "torch").tile == 256
    assert open_engine(replace(CARD), "torch").tile is None


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted on Linux")
def test_kept_memory_is_not_mapped_anew():
    program = """
import resource, sys
import numpy as np
from inference_core.models.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no glibc")
for _ in range(3):
    np.ones(2**24, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(2**24, np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = {}
    for way in ("keep", "give back"):
        done = subprocess.run([sys.executable, "-c", program, way], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(done.stderr)
        faults[way] = int(done.stdout)
    assert faults["keep"] * 10 < faults["give back"]


def test_weights_that_are_no_network_are_refused_in_words(tmp_path):
    from inference_core.models.card import card_from, sha256_of

    for suffix, engine in (("onnx", "onnxruntime"), ("safetensors", "torch")):
        if engine == "torch":
            pytest.importorskip("torch")
        damaged = tmp_path / f"damaged.{suffix}"
        damaged.write_bytes(CARD.file(suffix).read_bytes()[:-5000])
        card = card_from(
            CARD.text | {"id": "damaged", "sha256": {suffix: sha256_of(damaged)}}, tmp_path / "damaged.json"
        )
        with pytest.raises(UserError) as error:
            open_engine(card, engine)
        assert error.value.code == "model-damaged"
