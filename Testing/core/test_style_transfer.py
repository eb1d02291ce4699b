"""AdaIN and StyTR2 against their descriptions, and from checkpoints in the published layout to a translator."""

import math

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import torch.nn.functional as F  # noqa: E402

from inference_core.cli import main  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.importers import Source, read_original  # noqa: E402
from inference_core.models.networks import build_network  # noqa: E402
from inference_core.models.networks.adain_translator import AdainTranslator  # noqa: E402
from inference_core.models.networks.stytr2_translator import Stytr2Translator  # noqa: E402
from inference_core.models.networks.vgg_autoencoder import vgg_decoder, vgg_encoder  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.translator.translate import translate  # noqa: E402

ADAIN, STYTR2 = 32, 16  # divisors of the channels


def random_state(network, seed=0):
    """As published files name it; every layer keeps about the size of what goes through it."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(value):
        spread = math.sqrt(2 / value[0].numel()) if value.ndim > 1 else 0.1
        return spread * torch.randn(value.shape, generator=generator)

    state = {name: drawn(value) + ("norm" in name and value.ndim == 1) for name, value in network.state_dict().items()}
    if "28.bias" in state and len(state) < 20:  # a decoder's last layer: a picture between black and white
        state |= {"28.weight": 0.5 * state["28.weight"], "28.bias": torch.full((3,), 0.5)}
    return state


def write_picture(path, seed=0, size=(300, 280)):
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 250, (9, 9, 3), np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def adain_files(tmp_path):
    torch.save(random_state(vgg_encoder(ADAIN, whole=True)), tmp_path / "vgg_normalised.pth")
    torch.save(random_state(vgg_decoder(ADAIN), 1), tmp_path / "decoder.pth")
    picture = write_picture(tmp_path / "style.png")
    return {"file": tmp_path / "vgg_normalised.pth", "decoder": tmp_path / "decoder.pth", "style": picture}


@pytest.fixture
def stytr2_files(tmp_path):
    network = Stytr2Translator(STYTR2)
    torch.save(random_state(network.transformer), tmp_path / "transformer.pth")
    torch.save(random_state(network.embedding, 1), tmp_path / "embedding.pth")
    torch.save(random_state(network.decode, 2), tmp_path / "decoder.pth")
    files = {name: tmp_path / f"{name}.pth" for name in ("embedding", "decoder")}
    return {"file": tmp_path / "transformer.pth", **files, "style": write_picture(tmp_path / "style.png")}


def test_the_networks_have_the_published_numbers_of_weights():
    with torch.device("meta"):
        adain, stytr2, whole = AdainTranslator(), Stytr2Translator(), vgg_encoder(whole=True)
    counts = [
        sum(parameter.numel() for parameter in part.parameters())
        for part in (adain.encoder, adain.decoder, stytr2.transformer, stytr2.embedding, stytr2.decode)
    ]
    assert counts == [3_505_740, 3_505_219, 31_790_080, 98_816, 3_505_219]
    assert len(whole) == 53


def through(layers, x, state):
    """A published file's layers by their numbers: c convolution beside a mirrored border, p halved, u doubled."""
    at = 0
    for kind in layers:
        if kind == "1":
            x, at = F.conv2d(x, state["0.weight"], state["0.bias"]), 1
        elif kind in "cl":
            n = at + 1
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), state[f"{n}.weight"], state[f"{n}.bias"])
            x, at = (x.clamp(min=0), at + 3) if kind == "c" else (x, at + 2)
        elif kind == "p":
            x, at = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2)), at + 1
        else:
            x, at = x.repeat_interleave(2, 2).repeat_interleave(2, 3), at + 1
    return x


ENCODER, DECODER = "1ccpccpccccpc", "cuccccuccucl"


def test_adain_is_the_published_one(adain_files):
    imported = read_original(Source(importer="adain", **adain_files))
    network = build_network(imported.network, imported.arguments)
    network.load_state_dict(imported.weights)
    vgg, decoder = (torch.load(adain_files[name], weights_only=True) for name in ("file", "decoder"))
    x = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(3))
    style = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(4)) / 4 + 0.5
    network.learn_style(style)
    features, wanted = (through(ENCODER, image, vgg).flatten(2) for image in (x, style))
    scaled = (features - features.mean(2, keepdim=True)) / (features.var(2, keepdim=True) + 1e-5).sqrt()
    mixed = scaled * (wanted.var(2, keepdim=True) + 1e-5).sqrt() + wanted.mean(2, keepdim=True)
    expected = through(DECODER, mixed.unflatten(2, (4, 5)), decoder)
    with torch.no_grad():
        torch.testing.assert_close(network(x), expected, atol=1e-4, rtol=1e-4)


def attention(state, name, query, key, value):
    weights, biases = (state[f"{name}.in_proj_{kind}"].chunk(3) for kind in ("weight", "bias"))
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, value), weights, biases, strict=True))
    heads = []
    for h in range(8):
        part = slice(h * q.shape[-1] // 8, (h + 1) * q.shape[-1] // 8)
        scores = q[..., part] @ k[..., part].transpose(-1, -2) / math.sqrt(q.shape[-1] // 8)
        heads.append(scores.softmax(-1) @ v[..., part])
    return torch.cat(heads, -1) @ state[f"{name}.out_proj.weight"].T + state[f"{name}.out_proj.bias"]


def normed(state, name, x):
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def feed(state, name, x):
    hidden = (x @ state[f"{name}.linear1.weight"].T + state[f"{name}.linear1.bias"]).clamp(min=0)
    return hidden @ state[f"{name}.linear2.weight"].T + state[f"{name}.linear2.bias"]


def encoded(state, which, x, place):
    for k in range(3):
        name = f"{which}.layers.{k}"
        x = normed(state, f"{name}.norm1", x + attention(state, f"{name}.self_attn", x + place, x + place, x))
        x = normed(state, f"{name}.norm2", x + feed(state, name, x))
    return x


def test_stytr2_is_the_published_one(stytr2_files):
    imported = read_original(Source(importer="stytr2", **stytr2_files))
    network = build_network(imported.network, imported.arguments)
    network.load_state_dict(imported.weights)
    style = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(4))
    network.learn_style(style)
    state, embedding, decoder = (
        torch.load(stytr2_files[name], weights_only=True) for name in ("file", "embedding", "decoder")
    )
    x = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(3))

    def patches(image):
        return F.conv2d(image, embedding["proj.weight"], embedding["proj.bias"], 8)

    pooled = F.adaptive_avg_pool2d(patches(x), 18)
    pooled = F.conv2d(pooled, state["new_ps.weight"], state["new_ps.bias"])
    place = F.interpolate(pooled, size=(6, 8), mode="bilinear").flatten(2).transpose(1, 2)
    memory = encoded(state, "encoder_s", patches(style).flatten(2).transpose(1, 2), 0).expand(2, -1, -1)
    y = encoded(state, "encoder_c", patches(x).flatten(2).transpose(1, 2), place)
    for k in range(3):
        name = f"decoder.layers.{k}"
        y = normed(state, f"{name}.norm1", y + attention(state, f"{name}.self_attn", y + place, memory, memory))
        y = normed(state, f"{name}.norm2", y + attention(state, f"{name}.multihead_attn", y + place, memory, memory))
        y = normed(state, f"{name}.norm3", y + feed(state, name, y))
    y = normed(state, "decoder.norm", y).transpose(1, 2).unflatten(2, (6, 8))
    with torch.no_grad():
        torch.testing.assert_close(network(x), through(DECODER, y, decoder), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["adain", "stytr2"])
def test_an_imported_checkpoint_translates_frames(name, request, tmp_path, monkeypatch):
    monkeypatch.setenv("FAITHFUL_IMAGING_MODELS", str(tmp_path / "models"))
    files = dict(request.getfixturevalue(f"{name}_files"))
    options = [word for key, path in files.items() if key != "file" for word in (f"--{key}", str(path))]
    main(["models", "import", str(files["file"]), "--from", name, *options, "--name", "mine"])
    card = find_model("mine", "translate-frames")
    assert card.values == (0, 1)
    assert "style.png" in " ".join(card.text["known_failures"])
    frame = np.asarray(Image.open(write_picture(tmp_path / "frame.png", 5, (68, 44))))
    by_onnx, by_torch = (translate(frame, card, open_engine(card, engine)) for engine in ("onnxruntime", "torch"))
    assert by_onnx.shape == frame.shape
    assert np.abs(by_onnx.astype(int) - by_torch).max() <= 1
    assert by_onnx.std() > 0


def test_what_is_missing_is_named(adain_files):
    with pytest.raises(UserError) as error:
        read_original(Source(adain_files["file"], "adain", style=adain_files["style"]))
    assert error.value.code == "missing-file"
    assert "--decoder" in error.value.remedy


def test_a_decoder_of_another_network_is_refused(adain_files):
    torch.save(random_state(vgg_decoder(ADAIN // 2)), adain_files["decoder"])
    with pytest.raises(UserError) as error:
        read_original(Source(importer="adain", **adain_files))
    assert error.value.code == "bad-checkpoint"
    assert "of another shape: 1.weight" in error.value.message


def test_a_style_of_nothing_is_refused(adain_files):
    Image.new("RGB", (300, 300)).save(adain_files["style"])
    with pytest.raises(UserError) as error:
        read_original(Source(importer="adain", **adain_files))
    assert error.value.code in ("small-frame", "grey-frame")
