"""The scale-invariant depth loss: what it charges, what it lets off, and that images do not mix."""

import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from inference_core.training.losses.silog import SilogLoss, silog_loss  # noqa: E402

SCALES = st.floats(0.05, 20)


def depths(seed=0, images=2, side=6):
    generator = torch.Generator().manual_seed(seed)
    one, other = 1 + 60 * torch.rand(2, images, 1, side, side, generator=generator, dtype=torch.float64)
    return one, other, torch.rand(one.shape, generator=generator) < 0.7


@settings(max_examples=30, deadline=None)
@given(SCALES, st.integers(0, 1000))
def test_with_lambda_1_a_wrong_scale_costs_nothing(scale, seed):
    predicted, target, valid = depths(seed)
    right, wrong = (silog_loss(f * predicted, target, valid, scale_share=1.0, eps=0) for f in (1, scale))
    assert wrong.item() == pytest.approx(right.item(), abs=1e-10)
    assert silog_loss(scale * target, target, valid, scale_share=1.0, eps=0).item() == pytest.approx(0, abs=1e-10)


@settings(max_examples=30, deadline=None)
@given(SCALES, st.integers(0, 1000), st.sampled_from(["paper", "released_code"]))
def test_with_lambda_one_half_half_of_a_wrong_scale_is_charged(scale, seed, variant):
    _, target, valid = depths(seed)
    charged = silog_loss(scale * target, target, valid, variant, eps=0).item()
    assert charged == pytest.approx(math.log(scale) ** 2 / 2, abs=1e-9)


def test_it_is_equation_1():
    predicted, target, valid = depths()
    expected = []
    for p, t, v in zip(predicted, target, valid, strict=True):
        d = [math.log(a + 0.01) - math.log(b + 0.01) for a, b in zip(p[v], t[v], strict=True)]
        expected.append(sum(x * x for x in d) / len(d) - sum(d) ** 2 / (2 * len(d) ** 2))
    assert silog_loss(predicted, target, valid, eps=0.01).item() == pytest.approx(sum(expected) / 2)
    assert SilogLoss(eps=0.01)(predicted, target, valid).item() == pytest.approx(sum(expected) / 2)


def test_the_released_code_forgives_what_is_no_error_of_scale():
    generator = torch.Generator().manual_seed(0)
    target = torch.full((1, 1, 200, 200), 20.0, dtype=torch.float64)
    error = 0.3 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    predicted, valid = target * error.exp(), torch.ones_like(target, dtype=torch.bool)
    paper, released = (silog_loss(predicted, target, valid, v, eps=0).item() for v in ("paper", "released_code"))
    assert released / paper == pytest.approx(1 - 1 / math.pi, abs=0.01)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_an_images_gradient_does_not_know_its_batch_mates(seed, empty):
    predicted, target, valid = depths(seed)
    other, other_target, other_valid = depths(seed + 1)

    def gradient(*mate):
        pairs = zip((predicted, target, valid), mate, strict=True)
        x, t, v = (torch.stack([mine[0], theirs[0]]) for mine, theirs in pairs)
        x = x.clone().requires_grad_()
        silog_loss(x, t, v).backward()
        return x.grad[0]

    mate = other, other_target, other_valid & False if empty else other_valid
    assert torch.equal(gradient(predicted, target, valid), gradient(*mate))


@pytest.mark.parametrize("variant", ["paper", "released_code"])
def test_an_image_without_a_known_depth_costs_nothing(variant):
    predicted, target, valid = depths()
    predicted = torch.zeros_like(predicted).requires_grad_()
    loss = silog_loss(predicted, target, valid & False, variant, eps=0)
    loss.backward()
    assert loss.item() == 0
    assert not predicted.grad.any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_unknown_pixels_do_not_count(seed):
    predicted, target, valid = depths(seed)
    odd = torch.where(valid, target, torch.zeros_like(target))
    assert silog_loss(predicted, odd, valid).item() == silog_loss(predicted, target, valid).item()


def test_it_can_be_learned_from():
    predicted, target, valid = depths(images=1, side=3)
    predicted.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: silog_loss(x, target, valid), (predicted,))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p, t, v: (p[:1], t, v),
        lambda p, t, v: (p[:, 0], t[:, 0], v[:, 0]),
        lambda p, t, v: (p, t, v.double()),
        lambda p, t, v: (p, t, v, "paper", 1.5),
    ],
)
def test_what_cannot_be_compared_is_refused(spoil):
    with pytest.raises(ValueError, match=r"one shape|from 0 to 1"):
        silog_loss(*spoil(*depths()))
