"""The networks of the methods that the paper compares with, each against its description."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from inference_core.models.networks import build_network  # noqa: E402
from inference_core.models.networks.gan_circle_generator import GanCircleGenerator  # noqa: E402
from inference_core.models.networks.invertible_generator import InvertibleGenerator  # noqa: E402
from inference_core.models.networks.resnet_generator import ResnetGenerator  # noqa: E402
from inference_core.training.networks.cycle_free_discriminator import CycleFreeDiscriminator  # noqa: E402
from inference_core.training.networks.gan_circle_discriminator import GanCircleDiscriminator  # noqa: E402
from inference_core.training.networks.patchgan70 import PatchGan70  # noqa: E402

SMALL = {
    "resnet": lambda: ResnetGenerator(width=4, blocks=2),
    "resnet, colour": lambda: ResnetGenerator(width=4, blocks=2, channels=3, tanh=True),
    "gan circle": GanCircleGenerator,
    "invertible": lambda: InvertibleGenerator(width=3, blocks=2),
    "patchgan": lambda: PatchGan70(width=4),
    "patchgan, colour": lambda: PatchGan70(channels=3, width=4),
    "gan circle critic": lambda: GanCircleDiscriminator(width=4),
    "cycle-free critic": lambda: CycleFreeDiscriminator(width=4),
}


def random_network(name):
    """Weights, offsets and scales all drawn at random, in double precision."""
    network = SMALL[name]().double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return network


def image(name, size=(40, 48)):
    channels = 3 if "colour" in name else 1
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def in_order(network):
    """Its parameters, first to last."""
    return iter([parameter.detach() for parameter in network.parameters()])


def normalised(x, over=(2, 3)):
    """Mean 0 and (biased) variance 1 of each channel."""
    middle = x - x.mean(over, keepdim=True)
    return middle / (middle.square().mean(over, keepdim=True) + 1e-5).sqrt()


def leaky(x, slope):
    return torch.where(x > 0, x, slope * x)


def mirrored(x, n):
    """Padded by n on each side with what lies inside the rim, the rim itself not repeated."""
    rows, columns = ([*range(n, 0, -1), *range(side), *range(side - 2, side - 2 - n, -1)] for side in x.shape[2:])
    return x[:, :, rows][:, :, :, columns]


def enlarged(x, weight, bias, padding, extra):
    """Transposed convolution of stride 2: zeros between the pixels, then the kernel turned round."""
    rows, columns = x.shape[2:]
    spread = x.new_zeros(*x.shape[:2], 2 * rows - 1, 2 * columns - 1)
    spread[:, :, ::2, ::2] = x
    rim = weight.shape[-1] - 1 - padding
    return F.conv2d(F.pad(spread, (rim, rim + extra, rim, rim + extra)), weight.flip(2, 3).transpose(0, 1), bias)


def restated_resnet(x, network, tanh):
    w = in_order(network)
    x = normalised(F.conv2d(mirrored(x, 3), next(w), next(w))).clamp(min=0)
    for _ in range(2):
        x = normalised(F.conv2d(F.pad(x, (1, 1, 1, 1)), next(w), next(w), stride=2)).clamp(min=0)
    for _ in range(2):
        y = normalised(F.conv2d(mirrored(x, 1), next(w), next(w))).clamp(min=0)
        x = x + normalised(F.conv2d(mirrored(y, 1), next(w), next(w)))
    for _ in range(2):
        x = normalised(enlarged(x, next(w), next(w), 1, 1)).clamp(min=0)
    x = F.conv2d(mirrored(x, 3), next(w), next(w))
    return (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1) if tanh else x


def restated_gan_circle(x, network):
    w = in_order(network)
    y = leaky(F.conv2d(x, next(w), next(w), stride=2, padding=1), 0.1)
    maps = [y]
    for _ in range(11):
        y = leaky(F.conv2d(y, next(w), next(w), padding=1), 0.1)
        maps.append(y)
    every = torch.cat(maps, 1)
    a = leaky(F.conv2d(every, next(w), next(w)), 0.1)
    b = F.conv2d(leaky(F.conv2d(every, next(w), next(w)), 0.1), next(w), next(w), padding=1)
    y = F.conv2d(torch.cat([a, b], 1), next(w), next(w), padding=1)
    y = leaky(enlarged(y, next(w), next(w), 1, 0), 0.1)
    return x + F.conv2d(y, next(w), padding=1)


def restated_invertible(x, network):
    def dense(y, w):
        for k in range(5):
            new = F.conv2d(y, next(w), next(w), padding=1)
            y = new if k == 4 else torch.cat([y, leaky(new, 0.2)], 1)
        return y[:, 0]

    parts = torch.stack([x[:, 0, i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)
    w = in_order(network)
    for _ in range(2):
        below, scale, above = next(w), next(w), next(w)
        mix = (torch.eye(4) + below.tril(-1)) @ (above.triu(1) + torch.diag(scale.exp()))
        parts = torch.einsum("oc,ncyx->noyx", mix, parts).clone()
        for k in range(4):
            parts[:, k] -= dense(parts[:, [c for c in range(4) if c != k]], w)
    out = torch.empty_like(x)
    for k in range(4):
        out[:, 0, k // 2 :: 2, k % 2 :: 2] = parts[:, k]
    return out


def restated_patchgan(x, network, affine=False):
    w = in_order(network)
    x = leaky(F.conv2d(x, next(w), next(w), stride=2, padding=1), 0.2)
    for stride in (2, 2, 1):
        x = normalised(F.conv2d(x, next(w), next(w), stride=stride, padding=1))
        if affine:
            x = x * next(w)[:, None, None] + next(w)[:, None, None]
        x = leaky(x, 0.2)
    return F.conv2d(x, next(w), next(w), padding=1)


def restated_cycle_free_critic(x, network):
    w = in_order(network)
    x = leaky(F.conv2d(x, next(w), stride=2, padding=1), 0.2)
    for stride in (2, 1):
        x = normalised(F.conv2d(x, next(w), next(w), stride=stride, padding=1), over=(0, 2, 3))
        x = leaky(x * next(w)[:, None, None] + next(w)[:, None, None], 0.2)
    return F.conv2d(x, next(w), next(w), padding=1)


RESTATED = {
    "resnet": lambda x, network: restated_resnet(x, network, tanh=False),
    "resnet, colour": lambda x, network: restated_resnet(x, network, tanh=True),
    "gan circle": restated_gan_circle,
    "invertible": restated_invertible,
    "patchgan": restated_patchgan,
    "patchgan, colour": restated_patchgan,
    "gan circle critic": lambda x, network: restated_patchgan(x, network, affine=True),
    "cycle-free critic": restated_cycle_free_critic,
}


@pytest.mark.parametrize("name", SMALL)
def test_equals_an_independent_statement(name):
    network, x = random_network(name), image(name)
    with torch.no_grad():
        torch.testing.assert_close(network(x), RESTATED[name](x, network), atol=1e-9, rtol=1e-9)


def test_sizes_are_the_papers():
    with torch.device("meta"):
        sizes = {
            11_365_633: ResnetGenerator(),
            11_378_179: ResnetGenerator(channels=3, tanh=True),
            611_418: GanCircleGenerator(),
            3_691_088: InvertibleGenerator(),
            2_762_689: PatchGan70(),
            2_764_737: PatchGan70(channels=3),
            2_764_481: GanCircleDiscriminator(),
            661_633: CycleFreeDiscriminator(),
        }
    for size, network in sizes.items():
        assert sum(parameter.numel() for parameter in network.parameters()) == size


@pytest.mark.parametrize("name", SMALL)
def test_a_gradient_reaches_every_layer_and_the_input_stays(name):
    network, x = random_network(name), image(name)
    before = x.clone()
    network(x.requires_grad_()).square().mean().backward()
    assert torch.equal(x.detach(), before)
    # A normalisation takes the bias before it away again: its gradient is rounding.
    flat = [key for key, value in network.named_parameters() if value.grad.abs().max() < 1e-9 and "bias" not in key]
    assert not flat
    assert x.grad.abs().min() > 0


@pytest.mark.parametrize("name", ["resnet", "gan circle", "invertible"])
def test_a_slice_keeps_its_size(name):
    network = SMALL[name]()
    for rows, columns in ((2, 4), (5, 3)):
        x = torch.randn(1, 1, 4 * rows, 4 * columns)
        assert network(x).shape == x.shape


@pytest.mark.parametrize(
    ("name", "made"),
    [("resnet_generator", ResnetGenerator), ("gan_circle_generator", GanCircleGenerator),
     ("invertible_generator", InvertibleGenerator)],
)  # fmt: skip
def test_a_card_finds_the_network_by_its_name(name, made):
    with torch.device("meta"):
        assert type(build_network(name, {})) is made


@pytest.mark.parametrize(
    ("name", "size", "patch"), [("patchgan", 96, 70), ("gan circle critic", 96, 70), ("cycle-free critic", 64, 34)]
)
def test_a_score_judges_a_patch_of_the_papers_size(name, size, patch):
    network = SMALL[name]().double().eval()
    for module in list(network.model):  # normalisations of an instance would see all of it
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda x: x
    x = image(name, (size, size)).requires_grad_()
    scores = network(x)
    middle = scores.shape[-1] // 2
    scores[0, 0, middle, middle].backward()
    seen = x.grad[0, 0].abs().sum(1).nonzero()[:, 0]
    assert int(seen.max() - seen.min()) + 1 == patch


def test_the_resnet_needs_sides_that_are_multiples_of_its_factor():
    network = SMALL["resnet"]()
    assert network.factor == 4
    assert network(torch.zeros(1, 1, 30, 32)).shape != (1, 1, 30, 32)


def test_the_resnet_with_tanh_stays_within_its_range():
    assert random_network("resnet, colour")(100 * image("colour")).abs().max() <= 1


def test_published_weights_of_the_resnet_find_their_places():
    layers = [1, 4, 7, *(f"{k}.conv_block.{part}" for k in range(10, 19) for part in (1, 5)), 19, 22, 26]
    kinds = ("weight", "bias")
    with torch.device("meta"):
        assert set(ResnetGenerator().state_dict()) == {f"model.{k}.{kind}" for k in layers for kind in kinds}
        assert set(PatchGan70().state_dict()) == {f"model.{k}.{kind}" for k in (0, 2, 5, 8, 11) for kind in kinds}


def test_published_weights_of_the_invertible_generator_find_their_places():
    mixing = ("w_l", "w_s", "w_u", "w_p", "u_mask", "l_mask", "s_sign", "l_eye")
    expected = {f"blocks.{k}.invconv.{part}" for k in range(4) for part in mixing}
    for kind in ("weight", "bias"):
        expected |= {
            f"blocks.{k}.coupling.net{n}.conv{c}.{kind}" for k in range(4) for n in range(1, 5) for c in range(1, 6)
        }
    assert len(expected) == 192
    with torch.device("meta"):
        assert set(InvertibleGenerator().state_dict()) == expected


def test_the_inverse_gives_back_the_input():
    network = random_network("invertible").float()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)  # stronger weights make more of the rounding
        for block in network.blocks:  # a permutation and signs, as published weights have them
            block.invconv.w_p.copy_(torch.eye(4)[[2, 0, 3, 1]])
            block.invconv.s_sign.copy_(torch.tensor([1.0, -1.0, -1.0, 1.0]))
        x = image("invertible").float()
        there = network(x)
        assert (there - x).abs().max() > 0.1
        torch.testing.assert_close(network.inverse(there), x, atol=1e-5, rtol=0)
        torch.testing.assert_close(network(network.inverse(x)), x, atol=1e-5, rtol=0)


def test_the_untrained_invertible_generator_changes_nothing():
    network = InvertibleGenerator(width=8)
    x = image("invertible").float()
    with torch.no_grad():
        assert torch.equal(network(x), x)
        assert torch.equal(network.inverse(x), x)


@pytest.mark.parametrize(
    ("name", "arguments", "halo"),
    [("gan_circle_generator", {}, 29), ("invertible_generator", {"width": 4, "blocks": 1}, 40),
     ("invertible_generator", {"width": 4}, 160)],
)  # fmt: skip
def test_the_halo_on_the_card_is_how_far_the_network_sees(name, arguments, halo):
    from inference_core.training.ct_publish import reach

    pytest.importorskip("onnx")
    assert reach({"name": name, "arguments": arguments}) == halo


def test_tiles_with_the_halo_equal_the_whole_slice():
    from inference_core.denoiser.tiles import run_network

    network = random_network("gan circle").eval()

    def run(x):
        with torch.no_grad():
            return network(torch.from_numpy(x)).numpy()

    x = np.random.default_rng(0).normal(size=(100, 90))
    whole = run_network(run, x, network.factor, 0)
    np.testing.assert_allclose(run_network(run, x, network.factor, 29, tile=32), whole, atol=1e-9)
    assert np.abs(run_network(run, x, network.factor, 12, tile=32) - whole).max() > 1e-9
