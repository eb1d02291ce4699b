"""Checkpoints of the papers' released code, made here in its layout (no real one can be had), become models."""

import os

import numpy as np
import pytest
from made_slice import made_slice

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import pywt  # noqa: E402
import restated_dml  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from inference_core.cli import main  # noqa: E402
from inference_core.denoiser.pipeline import denoise_volume  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.image.volume import Volume  # noqa: E402
from inference_core.models.card import sha256_of  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.importers import Source, card_of, read_original  # noqa: E402
from inference_core.models.networks import build_network  # noqa: E402
from inference_core.models.registry import list_models  # noqa: E402

PRESENT = {
    "weight_orig": "parametrizations.weight.original",
    "weight_u": "parametrizations.weight.0._u",
    "weight_v": "parametrizations.weight.0._v",
}


def dml_state(features=32, growth=8, shared=True):
    """As the released code saves it: old spectral norms, settled; the blocks listed three times."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in restated_dml.generator_shapes(features, growth).items():
        twin = "rrdb.layers.0" + name.removeprefix("rrdb.layers.")[1:] if name.startswith("rrdb") else name
        if shared and twin in {key.rpartition(".")[0] for key in state}:
            for part in ("bias", "weight_orig", "weight_u", "weight_v"):
                state[f"{name}.{part}"] = state[f"{twin}.{part}"].clone()
            continue
        weight = torch.randn(shape, generator=generator)
        u, _, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
        state |= {
            f"{name}.bias": 0.1 * torch.randn(shape[:1], generator=generator),
            f"{name}.weight_orig": weight,
            f"{name}.weight_u": u[:, 0].contiguous(),
            f"{name}.weight_v": v[0].contiguous(),
        }
    return state


def cycle_free_state(width=64):
    generator = torch.Generator().manual_seed(1)

    def random(*shape, scale=0.1):
        return scale * torch.randn(shape, generator=generator)

    state = {}
    for block in range(4):
        upper = torch.triu(torch.ones(4, 4), 1)
        state |= {
            f"blocks.{block}.invconv.{name}": value
            for name, value in {
                "w_l": random(4, 4), "w_s": random(4), "w_u": random(4, 4),
                "w_p": torch.eye(4)[torch.randperm(4, generator=generator)], "u_mask": upper, "l_mask": upper.T.clone(),
                "s_sign": torch.tensor([1.0, -1.0, 1.0, -1.0]), "l_eye": torch.eye(4),
            }.items()
        }  # fmt: skip
        for net in range(1, 5):
            for k in range(1, 6):
                name = f"blocks.{block}.coupling.net{net}.conv{k}"
                out = 1 if k == 5 else width
                state[f"{name}.weight"] = random(out, 3 + (k - 1) * width, 3, 3, scale=0.03)
                state[f"{name}.bias"] = random(out, scale=0.003)
    return state


def cycle_free(state, high):
    """The released generator on a high band, from its description."""
    rows, columns = high.shape[2:]
    x = high.reshape(-1, 1, rows // 2, 2, columns // 2, 2).permute(0, 1, 3, 5, 2, 4)
    parts = list(x.reshape(-1, 4, rows // 2, columns // 2).unbind(1))
    for block in range(4):
        fixed = {name: state[f"blocks.{block}.invconv.{name}"] for name in ("w_l", "w_s", "w_u", "w_p", "s_sign")}
        lower = torch.tril(fixed["w_l"], -1) + torch.eye(4)
        upper = torch.triu(fixed["w_u"], 1) + torch.diag(fixed["s_sign"] * fixed["w_s"].exp())
        matrix = fixed["w_p"] @ lower @ upper
        parts = [sum(matrix[i, j] * parts[j] for j in range(4)) for i in range(4)]
        for k in range(4):
            seen = torch.stack([part for j, part in enumerate(parts) if j != k], dim=1)
            for layer in range(1, 6):
                name = f"blocks.{block}.coupling.net{k + 1}.conv{layer}"
                last = F.conv2d(seen, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
                seen = torch.cat([seen, restated_dml.leaky(last)], dim=1)
            parts[k] = parts[k] - last[:, 0]
    y = torch.stack(parts, dim=1).reshape(-1, 1, 2, 2, rows // 2, columns // 2)
    return y.permute(0, 1, 4, 2, 5, 3).reshape(high.shape)


def saved(folder, state, name="epoch(200)_genA2B.pth"):
    torch.save(state, folder / name)
    return folder / name


def imported_network(path, importer="dml_ct"):
    original = read_original(Source(path, importer))
    network = build_network(original.network, original.arguments)
    network.load_state_dict(original.weights)
    return network.eval(), original


def refused(path, importer="dml_ct"):
    with pytest.raises(UserError) as caught:
        read_original(Source(path, importer))
    assert path.name in caught.value.message
    assert caught.value.remedy
    return caught.value


def high_band(size=(40, 44)):
    return 0.05 * torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("sizes", [{}, {"features": 12, "growth": 5}])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("layout", ["former", "present"])
def test_a_dml_checkpoint_gives_what_the_original_gives(tmp_path, layout, prefix, sizes):
    state = dml_state(**sizes)
    names = {key: key for key in state}
    if layout == "present":
        for then, now in PRESENT.items():
            names = {key: name.replace(then, now) for key, name in names.items()}
    path = saved(tmp_path, {prefix + names[key]: value for key, value in state.items()})
    network, original = imported_network(path)
    x = high_band()
    with torch.no_grad():
        expected = restated_dml.generator(restated_dml.unfold_norms(state), x)[0]
        torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-6)
    assert original.arguments["share_blocks"] is True
    assert original.arguments["features"] == sizes.get("features", 32)
    assert original.notes == []
    if not sizes:
        assert len(state) == 72
        assert sum(value.numel() for value in original.weights.values()) == 32_833


def test_blocks_that_differ_are_kept_apart_and_said(tmp_path):
    state = dml_state(shared=False)
    network, original = imported_network(saved(tmp_path, state))
    x = high_band()
    with torch.no_grad():
        expected = restated_dml.generator(restated_dml.unfold_norms(state), x)[0]
        torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-6)
    assert original.arguments["share_blocks"] is False
    assert "blocks differ" in original.notes[0]
    one_bias = dml_state()
    one_bias["rrdb.layers.2.nets.3.bias"][1] += 0.5
    assert imported_network(saved(tmp_path, one_bias))[1].arguments["share_blocks"] is False


def test_norms_that_never_settled_are_said(tmp_path):
    state = dml_state()
    state["conv_mid.weight_v"] = torch.roll(state["conv_mid.weight_v"], 1)
    assert "conv_mid" in imported_network(saved(tmp_path, state))[1].notes[0]


def test_a_cycle_free_checkpoint_gives_what_the_original_gives(tmp_path):
    state = cycle_free_state()
    assert len(state) == 192
    network, original = imported_network(saved(tmp_path, state, "netG_150000.pt"), "cycle_free")
    x = high_band()
    with torch.no_grad():
        expected = cycle_free(state, x)
        torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-6)
    assert (expected - x).abs().max() > 0.01  # weights that do something
    assert original.halo == 160


def test_the_halo_is_what_the_network_sees(tmp_path):
    dml, dml_original = imported_network(saved(tmp_path, dml_state(8, 4)))
    free, free_original = imported_network(saved(tmp_path, cycle_free_state(1), "g.pt"), "cycle_free")
    for network, halo, size in ((dml, dml_original.halo, 64), (free, free_original.halo, 384)):
        network = network.double()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.fill_(0 if "w_" in name else -0.1)
            for name, matrix in network.named_buffers():
                if name.endswith("w_p"):
                    matrix.copy_(torch.eye(4))  # the order in which most is seen
        middle, step = size // 2, int(network.factor)
        x = torch.zeros(1, 1, size, size, dtype=torch.float64, requires_grad=True)
        network(x)[0, 0, middle : middle + step, middle : middle + step].sum().backward()
        seen = x.grad[0, 0].abs().sum(1).nonzero()[:, 0]
        assert max(middle - int(seen[0]), int(seen[-1]) - middle - step + 1) == halo


@pytest.mark.parametrize(
    ("importer", "made", "lost", "extra"),
    [
        ("dml_ct", dml_state, "rrdb.layers.1.nets.2.weight_u", "conv_extra.bias"),
        ("dml_ct", dml_state, "conv_first.weight_orig", "rrdb.layers.2.nets.0.weight"),
        ("cycle_free", cycle_free_state, "blocks.3.invconv.s_sign", "blocks.0.coupling.net5.conv1.bias"),
        ("cycle_free", cycle_free_state, "blocks.0.coupling.net1.conv1.weight", "head.bias"),
    ],
)
def test_every_key_that_differs_is_named(tmp_path, importer, made, lost, extra):
    state = made()
    bent = next(name for name in reversed(state) if name.endswith("weight_orig") or name.endswith("conv5.weight"))
    state[bent] = state[bent][..., :2]
    del state[lost]
    state[extra] = torch.zeros(3)
    message = refused(saved(tmp_path, state), importer).message
    for part in (lost, extra, bent, "missing", "not known"):
        assert part in message
    assert str(tuple(state[bent].shape)) in message


def test_an_empty_layout_names_what_is_missing(tmp_path):
    message = refused(saved(tmp_path, {"weight": torch.zeros(2)})).message
    assert "conv_first.weight_orig" in message
    assert "and 67 more" in message
    assert message.count("weight_u") <= 5


class Opens:
    """Would make a folder when unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_pickled_objects_are_never_run(tmp_path):
    path = saved(tmp_path, dml_state() | {"surprise": Opens(tmp_path / "made")})
    assert "could run code" in refused(path).message
    assert not (tmp_path / "made").exists()
    assert refused(saved(tmp_path, torch.nn.Conv2d(1, 1, 3))).code == "bad-checkpoint"


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: data[:20], lambda data: b"",
                                   lambda data: b"not a checkpoint"])  # fmt: skip
def test_a_file_that_is_damaged_is_refused(tmp_path, spoil):
    path = saved(tmp_path, dml_state(8, 4))
    path.write_bytes(spoil(path.read_bytes()))
    assert refused(path).code == "bad-checkpoint"


@pytest.mark.parametrize(
    "state", [[1, 2], {}, {"epoch": 3}, dml_state(8, 4) | {"conv_mid.bias": torch.full((8,), torch.nan)}]
)
def test_what_holds_no_weights_is_refused(tmp_path, state):
    assert refused(saved(tmp_path, state)).code == "bad-checkpoint"


def test_a_file_that_is_not_there(tmp_path):
    assert refused(tmp_path / "none.pth").code == "no-such-file"
    (tmp_path / "folder").mkdir()
    assert "is a folder" in refused(tmp_path / "folder").message


def test_the_one_state_in_a_checkpoint_is_taken(tmp_path):
    state = dml_state(8, 4)
    expected = imported_network(saved(tmp_path, state))[1].weights
    within = imported_network(saved(tmp_path, {"epoch": 3, "state_dict": state}))[1].weights
    assert all(within[name].equal(value) for name, value in expected.items())
    error = refused(saved(tmp_path, {"G": state, "D": {"weight": torch.zeros(2)}}))
    assert "several dictionaries of weights: G, D" in error.message
    assert "['G']" in error.remedy


@pytest.mark.parametrize("odd", [lambda x: x + 1j, lambda x: x.to_sparse()])
def test_numbers_that_are_not_plain_are_refused(tmp_path, odd):
    state = dml_state(8, 4)
    state["conv_mid.bias"] = odd(state["conv_mid.bias"])
    error = refused(saved(tmp_path, state))
    assert error.code == "bad-checkpoint"
    assert "conv_mid.bias" in error.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("w_p", torch.eye(4)[[0, 0, 1, 2]]),
        ("w_p", -torch.eye(4)),
        ("w_p", 0.5 * torch.eye(4)),
        ("s_sign", torch.tensor([1.0, 0.0, 1.0, -1.0])),
        ("u_mask", torch.ones(4, 4)),
        ("l_mask", torch.triu(torch.ones(4, 4), 1)),
        ("l_eye", torch.zeros(4, 4)),
    ],
)
def test_fixed_matrices_that_are_not_as_they_must_be_are_named(tmp_path, name, value):
    state = cycle_free_state(1)
    state[f"blocks.2.invconv.{name}"] = value
    error = refused(saved(tmp_path, state), "cycle_free")
    assert error.code == "bad-checkpoint"
    assert f"blocks.2.invconv.{name} is not" in error.message


def paper_denoised(image, generator, unit, offset, level):
    """A slice by the papers' way: HU in their units, PyWavelets, the generator on the high band, the low band back."""
    x = (image.astype(np.float64) + offset) / unit
    widths = [6 * 2**level + (-n) % 2**level for n in x.shape]
    before = [width // 2 for width in widths]
    padded = np.pad(x, [(b, w - b) for b, w in zip(before, widths, strict=True)], mode="symmetric")
    coefficients = pywt.wavedec2(padded, "db3", mode="symmetric", level=level)
    coefficients[0] = np.zeros_like(coefficients[0])
    high = pywt.waverec2(coefficients, "db3", mode="symmetric")
    high = high[before[0] : before[0] + x.shape[0], before[1] : before[1] + x.shape[1]]
    with torch.no_grad():
        y = generator(torch.from_numpy(np.ascontiguousarray(high))[None, None].float())[0, 0].double().numpy()
    return (x - high + y) * unit - offset


@pytest.mark.parametrize(
    ("importer", "level", "name"), [("dml_ct", 6, None), ("dml_ct", 5, "temporal"), ("cycle_free", 6, None)]
)
def test_the_command_makes_a_model_that_denoises_as_the_papers_code_does(tmp_path, capsys, importer, level, name):
    state = dml_state(8, 4) if importer == "dml_ct" else cycle_free_state(2)
    path = saved(tmp_path, state)
    arguments = ["models", "import", str(path), "--from", importer, "--wavelet-level", str(level)]
    main([*arguments, "--name", name] if name else arguments)
    identifier = name or importer.replace("_", "-")
    assert f"added {identifier}" in capsys.readouterr().out
    card = next(card for card in list_models("denoise-ct") if card.id == identifier)
    assert card.text["imported"] == {"file": path.name, "sha256": sha256_of(path), "importer": importer}
    assert card.text["metrics"] == {"definition": "not measured"}
    assert not card.automatic
    image = made_slice(90, 96, 60).astype(np.float32)

    def original(high):
        if importer == "cycle_free":
            return cycle_free(state, high)
        return restated_dml.generator(restated_dml.unfold_norms(state), high)[0]

    unit, offset = {"dml_ct": (2000, 1000), "cycle_free": (4000, 0)}[importer]
    expected = paper_denoised(image, original, unit, offset, level)
    assert np.abs(expected - image).max() > 10
    for engine in ("onnxruntime", "torch"):
        after, _ = denoise_volume(Volume(image[None]), card, open_engine(card, engine))
        np.testing.assert_allclose(after.voxels[0], expected, rtol=0, atol=0.02)


def test_mistakes_at_the_command_add_nothing(tmp_path, capsys):
    path = saved(tmp_path, dml_state(8, 4))
    before = [card.id for card in list_models()]
    for arguments, said in (
        ([path, "--from", "cycle_free"], "blocks.0.invconv.w_l"),
        ([path, "--from", "dml_ct", "--wavelet-level", "0"], "wavelet level is 0"),
        ([tmp_path / "none.pth", "--from", "dml_ct"], "no file"),
        ([path, "--from", "dml_ct", "--name", "low-dose-ct"], "there already"),
        ([tmp_path / "none.pth", "--from", "dml_ct", "--name", "Low-Dose-CT"], "there already"),
        ([tmp_path / "none.pth", "--from", "dml_ct", "--name", "a/b"], "cannot name a model"),
        ([path, "--from", "cut"], "invalid choice"),
        ([path], "--from"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["models", "import", *map(str, arguments)])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert [card.id for card in list_models()] == before


def test_help_and_the_list_are_as_they_were(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["models", "import", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "dml_ct" in text and "cycle_free" in text and "--wavelet-level" in text  # noqa: PT018
    main(["models"])
    assert "low-dose-ct " in capsys.readouterr().out


def test_a_card_says_where_the_weights_are_from(tmp_path):
    path = saved(tmp_path, dml_state(8, 4))
    text = card_of(read_original(Source(path, "dml_ct", 5)), Source(path, "dml_ct", 5))
    assert text["input"]["wavelet_level"] == 5
    assert text["input"]["kept_level"] == 0
    assert text["input"]["unit_hu"] == 2000
    assert str(tmp_path) not in str(text)
