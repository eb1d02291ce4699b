"""I2I: MUNIT against its description, MS-SSIM against its definition, a short training, an imported checkpoint."""

import json

import numpy as np
import pytest
from made_frames import write_dataset, write_real

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")

import torch.nn.functional as F  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from inference_core.cli import main  # noqa: E402
from inference_core.cli.train import train as command_train  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.importers import Source, read_original  # noqa: E402
from inference_core.models.networks import build_network, load_network  # noqa: E402
from inference_core.models.networks.munit_parts import MunitGenerator  # noqa: E402
from inference_core.models.networks.munit_translator import translator_of  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.training.losses.ms_ssim import WEIGHTS, StructureLoss, ms_ssim, structure_loss  # noqa: E402
from inference_core.training.networks.multiscale_discriminator import MultiscaleDiscriminator  # noqa: E402
from inference_core.training.recipes import load_recipe, recipe_of  # noqa: E402
from inference_core.training.run_record import read_log  # noqa: E402

SIZES = {"width": 4, "style": 3, "blocks": 2, "hidden": 6}
SMALL = ["width=4", "blocks=1", "hidden=8", "discriminator_width=4", "scales=2", "crops.size=32", "log_every=1"]


def random_generator(seed):
    generator = torch.Generator().manual_seed(seed)
    network = MunitGenerator(**SIZES).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return network


def image(seed=0, size=(32, 40), images=2, channels=3):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(images, channels, *size, generator=generator, dtype=torch.float64) - 1


def mirrored(x, n):
    rows, columns = ([*range(n, 0, -1), *range(side), *range(side - 2, side - 2 - n, -1)] for side in x.shape[2:])
    return x[:, :, rows][:, :, :, columns]


def normalised(x):
    middle = x - x.mean((2, 3), keepdim=True)
    return middle / (middle.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def restated(content, look, picture, style):
    """The paper's appendix B.2, from the published names of the weights alone."""
    w = content.state_dict()
    x = picture
    for k, (stride, padding) in enumerate([(1, 3), (2, 1), (2, 1)]):
        name = f"enc_content.model.{k}.conv"
        x = normalised(F.conv2d(mirrored(x, padding), w[f"{name}.weight"], w[f"{name}.bias"], stride)).clamp(min=0)
    for k in range(SIZES["blocks"]):
        names = [f"enc_content.model.3.model.{k}.model.{j}.conv" for j in range(2)]
        y = normalised(F.conv2d(mirrored(x, 1), w[f"{names[0]}.weight"], w[f"{names[0]}.bias"])).clamp(min=0)
        x = x + normalised(F.conv2d(mirrored(y, 1), w[f"{names[1]}.weight"], w[f"{names[1]}.bias"]))
    w = look.state_dict()
    code = style
    for k in range(3):
        code = code @ w[f"mlp.model.{k}.fc.weight"].T + w[f"mlp.model.{k}.fc.bias"]
        code = code.clamp(min=0) if k < 2 else code
    wide, at = x.shape[1], 0
    for k in range(SIZES["blocks"]):
        y = x
        for j in range(2):
            name = f"dec.model.0.model.{k}.model.{j}.conv"
            offset, scale = code[:, at : at + wide], code[:, at + wide : at + 2 * wide]
            at += 2 * wide
            y = normalised(F.conv2d(mirrored(y, 1), w[f"{name}.weight"], w[f"{name}.bias"]))
            y = y * scale[:, :, None, None] + offset[:, :, None, None]
            y = y.clamp(min=0) if j == 0 else y
        x = x + y
    for k in (2, 4):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = F.conv2d(mirrored(x, 2), w[f"dec.model.{k}.conv.weight"], w[f"dec.model.{k}.conv.bias"])
        mean = x.mean((1, 2, 3), keepdim=True)
        x = (x - mean) / ((x - mean).square().sum((1, 2, 3), keepdim=True) / (x[0].numel() - 1)).sqrt().add(1e-5)
        gamma, beta = w[f"dec.model.{k}.norm.gamma"], w[f"dec.model.{k}.norm.beta"]
        x = (x * gamma[:, None, None] + beta[:, None, None]).clamp(min=0)
    return F.conv2d(mirrored(x, 3), w["dec.model.5.conv.weight"], w["dec.model.5.conv.bias"]).tanh()


def test_the_networks_have_the_published_numbers_of_weights():
    with torch.device("meta"):
        generator, judge = MunitGenerator(), MultiscaleDiscriminator()
    assert sum(parameter.numel() for parameter in generator.parameters()) == 15_026_187
    assert sum(parameter.numel() for parameter in judge.parameters()) == 8_271_171


def test_a_translation_is_the_published_one():
    one, other = random_generator(1), random_generator(2)
    style = torch.randn(1, SIZES["style"], dtype=torch.float64)
    translator = translator_of(SIZES, one, other, style).double()
    with torch.no_grad():
        found = translator(image())
    torch.testing.assert_close(found, restated(one, other, image(), style), atol=1e-6, rtol=1e-6)


def test_a_style_is_read_as_published():
    network, picture = random_generator(3), image(size=(48, 40))
    w, x = network.state_dict(), picture
    for k, (stride, padding) in enumerate([(1, 3), (2, 1), (2, 1), (2, 1), (2, 1)]):
        name = f"enc_style.model.{k}.conv"
        x = F.conv2d(mirrored(x, padding), w[f"{name}.weight"], w[f"{name}.bias"], stride).clamp(min=0)
    expected = x.mean((2, 3)) @ w["enc_style.model.6.weight"][:, :, 0, 0].T + w["enc_style.model.6.bias"]
    with torch.no_grad():
        torch.testing.assert_close(network.enc_style(picture), expected)


def test_the_judges_are_the_published_ones():
    network, x = MultiscaleDiscriminator(4, 2, 3).double(), image(size=(32, 32))
    w, expected = network.state_dict(), []
    for scale in range(2):
        y = x
        for k in range(3):
            name = f"cnns.{scale}.{k}.conv"
            y = F.conv2d(mirrored(y, 1), w[f"{name}.weight"], w[f"{name}.bias"], 2)
            y = torch.where(y > 0, y, 0.2 * y)
        expected.append(F.conv2d(y, w[f"cnns.{scale}.3.weight"], w[f"cnns.{scale}.3.bias"]))
        inside = F.pad(torch.ones_like(x), (1, 1, 1, 1)).unfold(2, 3, 2).unfold(3, 3, 2).sum((-1, -2))
        x = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 2).unfold(3, 3, 2).sum((-1, -2)) / inside
    for found, wanted in zip(network(image(size=(32, 32))), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def restated_ms_ssim(one, other, released):
    """Wang, Simoncelli, Bovik (2003), with scikit-image's similarity maps left out: windows by scipy."""
    from scipy.ndimage import correlate1d

    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def smooth(x):
        return correlate1d(correlate1d(x, window, 0), window, 1)[5:-5, 5:-5]

    factors = []
    for scale in range(5):
        if scale:
            one, other = (x.reshape(len(x) // 2, 2, -1, 2).mean((1, 3)) for x in (one, other))
        mu, nu = smooth(one), smooth(other)
        cs = (2 * (smooth(one * other) - mu * nu) + 9e-4) / (smooth(one**2) - mu**2 + smooth(other**2) - nu**2 + 9e-4)
        ssim = cs * (2 * mu * nu + 1e-4) / (mu**2 + nu**2 + 1e-4)
        factors.append((cs.mean(), ssim.mean()))
    if released:
        fine = [((cs + 1) / 2) ** w for (cs, _), w in zip(factors, WEIGHTS, strict=True)]
        last = ((factors[-1][1] + 1) / 2) ** WEIGHTS[-1]
        return np.prod([value * last for value in fine[:-1]])
    return np.prod([cs**w for (cs, _), w in zip(factors[:-1], WEIGHTS, strict=False)]) * factors[-1][1] ** WEIGHTS[-1]


@pytest.mark.parametrize("variant", ["standard", "released_code"])
def test_ms_ssim_is_the_published_one(variant):
    rng = np.random.default_rng(0)
    one = np.kron(rng.random((24, 24)), np.ones((8, 8)))
    other = np.clip(0.8 * one + 0.1 + 0.05 * rng.standard_normal(one.shape), 0, 1)
    found = ms_ssim(torch.from_numpy(one)[None, None], torch.from_numpy(other)[None, None], variant)
    assert found.item() == pytest.approx(restated_ms_ssim(one, other, variant == "released_code"), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(11, 80), st.integers(0, 100), st.floats(0, 1))
def test_the_same_structure_costs_nothing_and_another_one_does(side, seed, grey):
    x = (image(seed, (side, side + 3)) + 1) / 2
    assert structure_loss(x, x).item() == pytest.approx(0, abs=1e-6)
    assert structure_loss(x, x[:, [2, 0, 1]]).item() == pytest.approx(0, abs=1e-6)  # colours may change
    assert StructureLoss()(x, torch.full_like(x, grey)).item() > 0.5
    assert 0 <= structure_loss(x, 1 - x).item() <= 1  # opposite structures: no number that is none


def test_gradients_are_numbers_where_structures_are_opposite():
    x = ((image() + 1) / 2).requires_grad_()
    structure_loss(x, 1 - x.detach()).backward()
    assert x.grad.isfinite().all()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "sim" / "one")
    write_real(folder / "real")
    return folder


def train(data, run, *given):
    folders = [f"simulated={data / 'sim'}", f"real={data / 'real'}", f"out={run}"]
    main(["train", "translator", "--config", "i2i", *folders, *SMALL, *given])


def test_a_run_becomes_a_translator_that_gives_one_picture(data, tmp_path):
    train(data, tmp_path / "run", "steps=2")
    losses = [line for line in read_log(tmp_path / "run") if "structure" in line]
    assert [line["step"] for line in losses] == [1, 2]
    assert all(np.isfinite(list(line.values())).all() for line in losses)
    card = find_model(str(tmp_path / "run" / "model.json"), "translate-frames")
    assert str(data) not in json.dumps(card.text)
    frames = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    network = load_network(card)
    with torch.no_grad():
        together = network(frames)
        for k in range(3):
            torch.testing.assert_close(together[k], network(frames[k : k + 1])[0], atol=1e-5, rtol=1e-5)
    by_onnx, by_torch = (open_engine(card, name).run(frames[:1].numpy()) for name in ("onnxruntime", "torch"))
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-4)


def test_stopped_and_resumed_equals_uninterrupted_to_the_bit(data, tmp_path, monkeypatch):
    from inference_core.training.endoscopy_data import SimulatedFrames

    own, seen = SimulatedFrames.draw, []

    def draw(*given):
        """A power cut at the third step."""
        seen.append(1)
        if len(seen) > 2:
            raise KeyboardInterrupt
        return own(*given)

    given = ("steps=4", "checkpoint_every=2")
    train(data, tmp_path / "whole", *given)
    with monkeypatch.context() as patch:
        patch.setattr(SimulatedFrames, "draw", draw)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(data, tmp_path / "cut", *given)
    assert not (tmp_path / "cut" / "model.json").exists()
    train(data, tmp_path / "cut", *given)
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("style=0", "not-positive"),
        ("scales=3", "crop"),
        ("weight_structure=-1", "out-of-range"),
        ("select=best", "no-score"),
    ],
)
def test_mistakes_end_with_the_remedy(data, tmp_path, setting, code):
    folders = [f"simulated={data / 'sim'}", f"real={data / 'real'}", f"out={tmp_path / 'run'}"]
    with pytest.raises(UserError) as error:
        command_train(["translator", "--config", "i2i", *folders, *SMALL, setting])
    assert error.value.code == code
    assert error.value.remedy


@pytest.mark.parametrize("name", ["i2i", "i2i_paper"])
def test_the_configurations_name_fields_that_there_are(name):
    recipe, fields = recipe_of(name, "translator")
    assert set(fields) <= set(load_recipe(recipe)[0].__dataclass_fields__)


def checkpoint(path):
    """As the published code saves it, with the statistics of adaptive norms that it never uses."""
    looks = {}
    for seed, look in enumerate("ab"):
        state = {name: value.float() for name, value in random_generator(seed).state_dict().items()}
        for k in range(SIZES["blocks"]):
            for j in range(2):
                state[f"dec.model.0.model.{k}.model.{j}.norm.running_mean"] = torch.zeros(16)
                state[f"dec.model.0.model.{k}.model.{j}.norm.running_var"] = torch.ones(16)
        looks[look] = state
    torch.save(looks, path)
    return looks


@pytest.mark.parametrize(("importer", "source", "look"), [("munit_a2b", 0, 1), ("munit_b2a", 1, 0)])
def test_a_published_checkpoint_translates_as_it_did(tmp_path, importer, source, look):
    checkpoint(tmp_path / "gen_00000001.pt")
    imported = read_original(Source(tmp_path / "gen_00000001.pt", importer))
    assert imported.arguments == SIZES
    network = build_network(imported.network, imported.arguments)
    network.load_state_dict(imported.weights)
    style = torch.zeros(1, SIZES["style"], dtype=torch.float64)
    expected = restated(random_generator(source), random_generator(look), image(), style)
    with torch.no_grad():
        torch.testing.assert_close(network.double()(image()), expected, atol=1e-5, rtol=1e-4)


def test_another_checkpoint_is_refused_by_name(tmp_path):
    looks = checkpoint(tmp_path / "gen.pt")
    del looks["b"]["mlp.model.0.fc.bias"]
    looks["b"]["extra"] = torch.zeros(1)
    torch.save(looks, tmp_path / "gen.pt")
    with pytest.raises(UserError) as error:
        read_original(Source(tmp_path / "gen.pt", "munit_a2b"))
    assert error.value.code == "bad-checkpoint"
    assert "mlp.model.0.fc.bias" in error.value.message
    assert "extra" in error.value.message
