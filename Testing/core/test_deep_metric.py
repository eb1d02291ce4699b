"""Networks and losses of the CT paper's method, each against its description."""

import math
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import restated_dml  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from inference_core.denoiser.tiles import run_network  # noqa: E402
from inference_core.models.networks import build_network  # noqa: E402
from inference_core.models.networks.rrdb_sn import RrdbSn, folded  # noqa: E402
from inference_core.training.losses.adversarial import (  # noqa: E402
    LsganDiscriminatorLoss,
    LsganGeneratorLoss,
    lsgan_discriminator_loss,
    lsgan_generator_loss,
)
from inference_core.training.losses.patch_metric import PatchMetricLoss, patch_metric_loss  # noqa: E402
from inference_core.training.networks.patch_projector import PatchProjector, draw_positions  # noqa: E402
from inference_core.training.networks.patchgan_sn_se import PatchGanSnSe  # noqa: E402

ORIGINALLY = {
    "parametrizations.weight.original": "weight_orig",
    "parametrizations.weight.0._u": "weight_u",
    "parametrizations.weight.0._v": "weight_v",
}


def randomised(network, seed=0):
    """Weights of any size in double precision, and norms that have settled on them."""
    generator = torch.Generator().manual_seed(seed)
    network = network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        for _ in range(3):
            network(torch.zeros(1, 1, 16, 16, dtype=torch.float64))
    return network.eval()


def image(*size, seed=1):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def original_names(network, rename):
    state = {}
    for name, value in network.state_dict().items():
        for now, then in ORIGINALLY.items():
            name = name.replace(now, then)
        layer, _, kind = name.rpartition(".")
        for layer_then in rename(layer):
            state[f"{layer_then}.{kind}"] = value
    return state


def plain_weights(network, rename):
    state = original_names(network, rename)
    return restated_dml.unfold_norms(state) | {k: v for k, v in state.items() if k.endswith("weight")}


def generator_layers(shared):
    def rename(layer):
        ends = {"first": "conv_first", "middle": "conv_mid", "last": "conv_last"}
        if layer in ends:
            return [ends[layer]]
        block, i = re.fullmatch(r"blocks\.(\d)\.(\d)", layer).groups()
        return [f"rrdb.layers.{copy}.nets.{i}" for copy in (range(3) if shared else block)]

    return rename


def discriminator_layers(layer):
    part, index, *inner = layer.split(".")
    if part == "convolutions":
        return [f"model.{(0, 2, 6, 10, 14)[int(index)]}"]
    return [f"model.{(5, 9, 13)[int(index)]}.layer.{ {'squeeze': 1, 'excite': 3}[inner[0]] }"]


@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_the_generator_is_the_papers(shared, spectral_norm):
    network = randomised(RrdbSn(share_blocks=shared, spectral_norm=spectral_norm))
    weights = plain_weights(network, generator_layers(shared))
    assert {name: tuple(weights[f"{name}.weight"].shape) for name in restated_dml.generator_shapes()} == (
        restated_dml.generator_shapes()
    )
    x = image(2, 1, 20, 27)
    with torch.no_grad():
        output, features = network(x, with_features=True)
        expected, *expected_features = restated_dml.generator(weights, x)
    assert output.shape == x.shape
    for got, wanted in zip([output, *features], [expected, *expected_features], strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-11 * float(wanted.abs().max()))
    torch.testing.assert_close(network(x), output)


def test_it_has_as_many_weights_as_the_paper_says():
    def weights(network):
        return sum(parameter.numel() for parameter in network.parameters())

    assert weights(RrdbSn()) == 32_833
    assert weights(RrdbSn(spectral_norm=False)) == 32_833
    assert weights(RrdbSn(share_blocks=False)) == 95_169
    assert weights(PatchGanSnSe()) == 401_373
    assert weights(PatchProjector(32)) == 20_736


def test_folded_weights_give_what_the_trained_ones_give():
    network = RrdbSn()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for seed in range(5):
        optimiser.zero_grad()
        network(image(1, 1, 16, 16, seed=seed).float()).square().mean().backward()
        optimiser.step()
    plain = folded(network)
    assert network.training
    vectors = {name: value.clone() for name, value in network.state_dict().items()}
    x = image(1, 1, 40, 33).float()
    with torch.no_grad():
        torch.testing.assert_close(plain(x), network.eval()(x), rtol=0, atol=1e-6)
    # Looking at the weights took no step of the power iteration.
    assert all(torch.equal(vectors[name], value) for name, value in network.state_dict().items())
    again = build_network("rrdb_sn", {"spectral_norm": False})
    again.load_state_dict(plain.state_dict())  # what a card names loads what is published


def test_training_keeps_each_convolutions_gain_at_one():
    network = randomised(RrdbSn()).train()
    with torch.no_grad():
        for _ in range(200):
            network(torch.zeros(1, 1, 8, 8, dtype=torch.float64))
    for name, value in folded(network).double().state_dict().items():
        if name.endswith("weight"):
            assert torch.linalg.matrix_norm(value.flatten(1), 2) == pytest.approx(1, abs=2e-2), name


def test_an_untrained_residual_adds_nothing():
    assert not RrdbSn(spectral_norm=False)(image(1, 1, 16, 16).float()).any()


def test_a_pixel_sees_17_around_it_so_tiles_are_exact():
    network = randomised(RrdbSn(spectral_norm=False))
    x = image(70, 90).numpy()

    def run(part):
        with torch.no_grad():
            return network(torch.from_numpy(part)).numpy()

    whole = run_network(run, x, multiple_of=1, halo=17)
    np.testing.assert_allclose(run_network(run, x, 1, 17, tile=32), whole, rtol=0, atol=1e-12 * np.abs(whole).max())
    assert np.abs(run_network(run, x, 1, 16, tile=32) - whole).max() > 1e-9 * np.abs(whole).max()


def test_the_discriminator_is_the_papers():
    network = randomised(PatchGanSnSe())
    x = image(3, 1, 48, 64)
    with torch.no_grad():
        scores = network(x)
        expected = restated_dml.discriminator(plain_weights(network, discriminator_layers), x)
    assert scores.shape == (3, 1, 6, 8)
    torch.testing.assert_close(scores, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("pool", [1, 2])
def test_vectors_are_those_of_the_whole_map_at_the_chosen_places(pool):
    head = randomised_head(PatchProjector(6, width=10, pool=pool))
    features = image(2, 6, 8, 12)
    positions = torch.tensor([5, 0, 23, 11])
    vectors = head(features, positions)
    layers = [(layer.weight[:, :, None, None], layer.bias) for layer in (head.first, head.second)]
    whole = F.conv2d(F.avg_pool2d(F.relu(F.conv2d(features, *layers[0])), pool), *layers[1])
    chosen = whole.flatten(2)[:, :, positions].transpose(1, 2)
    torch.testing.assert_close(vectors, chosen / chosen.norm(dim=-1, keepdim=True))
    assert vectors.shape == (2, 4, 10)


def randomised_head(head):
    generator = torch.Generator().manual_seed(3)
    head = head.double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return head


def test_positions_are_different_and_within_the_map():
    features = torch.zeros(1, 4, 16, 24)
    for pool, patches in ((1, 384), (2, 96)):
        drawn = draw_positions(features, pool, 64)
        assert len(set(drawn.tolist())) == 64
        assert 0 <= int(drawn.min()) <= int(drawn.max()) < patches
    assert sorted(draw_positions(features, 8, 64).tolist()) == list(range(6))


# Losses: smoke, shapes, errors, gradients, module twin, types and batches.


def vectors(images, patches, length, seed=0, dtype=torch.float64):
    drawn = torch.randn(images, patches, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(drawn, dim=-1).to(dtype)


FORMS = [(False, "left_out"), (True, "left_out"), (False, "counted"), (True, "counted")]


@pytest.mark.parametrize(("scale_by_dim", "diagonal"), FORMS)
def test_the_metric_loss_is_a_number_and_has_a_module(scale_by_dim, diagonal):
    z, w = vectors(2, 7, 5, 1), vectors(2, 7, 5, 2)
    loss = patch_metric_loss(z, w, 0.15, scale_by_dim, diagonal)
    assert loss.shape == ()
    assert torch.equal(PatchMetricLoss(0.15, scale_by_dim, diagonal)(z, w), loss)


@pytest.mark.parametrize("shapes", [((2, 7, 5), (2, 7, 4)), ((7, 5), (7, 5)), ((2, 1, 5), (2, 1, 5))])
def test_the_metric_loss_refuses_other_shapes(shapes):
    with pytest.raises(ValueError, match=re.escape(str(shapes[0]))):
        patch_metric_loss(torch.zeros(shapes[0]), torch.zeros(shapes[1]), 0.15)


@pytest.mark.parametrize(("scale_by_dim", "diagonal"), FORMS)
def test_gradients_of_the_metric_loss(scale_by_dim, diagonal):
    z, w = (vectors(2, 4, 3, seed).requires_grad_() for seed in (1, 2))
    assert torch.autograd.gradcheck(lambda z, w: patch_metric_loss(z, w, 0.5, scale_by_dim, diagonal), (z, w))


def test_the_metric_loss_by_hand():
    z = torch.eye(2, dtype=torch.float64)[None]  # two patches at right angles, unchanged in the output
    assert patch_metric_loss(z, z, 1.0).item() == pytest.approx(2 - math.e)
    assert patch_metric_loss(z, z, 1.0, diagonal="counted").item() == pytest.approx(1 - math.e)
    assert patch_metric_loss(z, z, 1.0, scale_by_dim=True).item() == pytest.approx((2 - math.e) / 2)
    assert patch_metric_loss(z, -z, 0.5).item() == pytest.approx(2 - math.exp(-2))


def test_one_form_of_it_is_the_released_codes():
    layers = [(vectors(4, 128, 128, 2 * k), vectors(4, 128, 128, 2 * k + 1)) for k in range(2)]

    def pushed(v):
        inner = torch.einsum("nic,njc->nij", v, v)
        for k in range(128):
            inner[:, k, k] = -10
        return (inner / 0.15).exp().mean()

    def released(z, w):
        return (pushed(z) + pushed(w) - (torch.einsum("npc,npc->np", z, w) / 0.15).exp().mean()) / 128

    ours = [patch_metric_loss(z, w, 0.15, scale_by_dim=True, diagonal="counted") for z, w in layers]
    theirs = [released(z, w).item() for z, w in layers]
    assert torch.stack(ours).mean().item() == pytest.approx(np.mean(theirs), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.12, 0.15, 1.0]))
def test_nothing_is_below_equal_vectors_as_far_apart_as_they_can_be(seed, temperature):
    angles = 2 * math.pi / 3 * torch.arange(3, dtype=torch.float64)
    best = torch.stack([angles.cos(), angles.sin()], dim=-1)[None]
    least = patch_metric_loss(best, best, temperature)
    assert least.item() == pytest.approx(2 * math.exp(-0.5 / temperature) - math.exp(1 / temperature))
    assert patch_metric_loss(vectors(1, 3, 2, seed), vectors(1, 3, 2, seed + 1), temperature) >= least - 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_patches_and_common_rotations_do_not_matter(seed):
    generator = torch.Generator().manual_seed(seed)
    z, w = vectors(2, 6, 4, seed), vectors(2, 6, 4, seed + 1)
    loss = patch_metric_loss(z, w, 0.15)
    order = torch.randperm(6, generator=generator)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))[0]
    torch.testing.assert_close(patch_metric_loss(z[:, order], w[:, order], 0.15), loss)
    torch.testing.assert_close(patch_metric_loss(z @ rotation, w @ rotation, 0.15), loss)
    torch.testing.assert_close(patch_metric_loss(w, z, 0.15), loss)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_metric_loss_keeps_the_type_and_is_the_mean_of_its_images(dtype):
    z, w = vectors(3, 8, 5, 1, dtype), vectors(3, 8, 5, 2, dtype)
    loss = patch_metric_loss(z, w, 0.3)
    assert loss.dtype == dtype
    alone = torch.stack([patch_metric_loss(z[k : k + 1], w[k : k + 1], 0.3) for k in range(3)])
    torch.testing.assert_close(alone.mean(), loss)


@pytest.mark.parametrize("size", [(4, 1, 3, 3), (2, 5)])
def test_adversarial_losses_by_hand_and_as_modules(size):
    real, fake = torch.ones(size), torch.zeros(size)
    assert lsgan_generator_loss(fake) == 1
    assert lsgan_generator_loss(real) == 0
    assert lsgan_discriminator_loss(real, fake) == 0
    assert lsgan_discriminator_loss(fake, real) == 1
    assert lsgan_discriminator_loss(3 * real, 2 * real) == 4
    assert LsganGeneratorLoss()(fake) == lsgan_generator_loss(fake)
    assert LsganDiscriminatorLoss()(3 * real, 2 * real) == 4


def test_adversarial_losses_are_means_keep_the_type_and_have_gradients():
    real, fake = (image(3, 1, 2, 2, seed=seed).requires_grad_() for seed in (1, 2))
    assert torch.autograd.gradcheck(lsgan_generator_loss, (fake,))
    assert torch.autograd.gradcheck(lsgan_discriminator_loss, (real, fake))
    alone = torch.stack([lsgan_discriminator_loss(r, f) for r, f in zip(real, fake, strict=True)])
    torch.testing.assert_close(alone.mean(), lsgan_discriminator_loss(real, fake))
    assert lsgan_generator_loss(fake.float()).dtype == torch.float32
    # A discriminator may score more real images than generated ones.
    torch.testing.assert_close(lsgan_discriminator_loss(torch.cat([real, real]), fake),
                               lsgan_discriminator_loss(real, fake))  # fmt: skip
