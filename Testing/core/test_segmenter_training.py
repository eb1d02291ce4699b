"""What the training of a fold segmenter is made of: its loss, and frames as an endoscope might show them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra import numpy as hnp  # noqa: E402

from inference_core.training.endoscopy_augment import augment, draw_covers, draw_view, sample  # noqa: E402
from inference_core.training.fold_touch import fold_touch  # noqa: E402
from inference_core.training.losses.dice_cross_entropy import (  # noqa: E402
    DiceCrossEntropy,
    dice_cross_entropy,
    two_classes,
)


def drawn(classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, classes, 5, 6, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, classes, (2, 5, 6), generator=generator)


def restated(logits, labels, share):
    """The loss in numpy, class by class."""
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    picked = np.take_along_axis(p, labels[:, None], 1)
    dice = []
    for c in range(logits.shape[1]):
        t = (labels == c).astype(float)
        q = p[:, c]
        dice.append(1 - (2 * (q * t).sum() + 1e-5) / ((q * q).sum() + (t * t).sum() + 1e-5))
    return (1 - share) * -np.log(picked).mean() + share * np.mean(dice)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_loss_equals_an_independent_statement(classes, share):
    logits, labels = drawn(classes)
    expected = restated(logits.numpy(), labels.numpy(), share)
    assert dice_cross_entropy(logits, labels, share).item() == pytest.approx(expected, rel=1e-12)
    assert DiceCrossEntropy(share)(logits, labels).item() == pytest.approx(expected, rel=1e-12)


def test_gradients_of_the_loss_are_right():
    logits, labels = drawn()
    assert torch.autograd.gradcheck(lambda x: dice_cross_entropy(x, labels), logits.requires_grad_())


def test_the_loss_is_nothing_where_all_is_right_and_finite_where_all_is_wrong():
    _, labels = drawn(2)
    right = two_classes(200.0 * (2 * labels - 1))
    assert dice_cross_entropy(right, labels).item() < 1e-6
    assert dice_cross_entropy(-right, labels).isfinite()
    nothing = torch.zeros_like(labels)
    assert dice_cross_entropy(two_classes(torch.full(labels.shape, -200.0)), nothing).item() < 1e-6


def test_one_logit_as_two_classes_is_its_sigmoid():
    logit = torch.linspace(-5, 5, 11).reshape(1, 1, 11)
    torch.testing.assert_close(two_classes(logit).softmax(1)[:, 1], torch.sigmoid(logit))


@given(hnp.arrays(np.uint16, (8, 9), elements=st.integers(0, 3)), st.integers(1, 3))
def test_folds_touch_where_another_is_near(instances, reach):
    expected = np.zeros(instances.shape, bool)
    for y, x in np.argwhere(instances > 0):
        near = instances[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        expected[y, x] = len(set(near.ravel()) - {0}) > 1
    np.testing.assert_array_equal(fold_touch(instances, reach), expected)


def coded(rows=90, columns=120):
    """A frame whose colour says its place, so that labels made of the colour can be checked anywhere."""
    v, u = np.mgrid[:rows, :columns]
    frame = np.stack([40 + 200 * v / rows, 40 + 200 * u / columns, 0 * v + 128], -1).round().astype(np.uint8)
    return frame, (v // 15 * 10 + u // 15 + 1).astype(np.uint16)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_image_and_labels_move_together(seed):
    frame, labels = coded()
    y, x = draw_view(labels.shape, 64, np.random.default_rng(seed))
    image = 255 * sample(frame, y, x)
    rng = np.random.default_rng(seed)
    _, moved = augment([frame], labels, 64, rng)
    row, column = (image[..., 0] - 40) / 200 * 90, (image[..., 1] - 40) / 200 * 120
    told = row.round() // 15 * 10 + column.round() // 15 + 1
    inside = moved > 0
    # Rounding of colours may take a pixel at the rim of a field for one of the next field.
    assert np.mean(told[inside] == moved[inside]) > 0.8
    outside = image[..., 2] < 64
    assert not moved[outside].any()


def test_versions_of_a_frame_share_geometry_and_covers_but_not_the_look():
    frame, labels = coded()
    (one, other), _ = augment([frame, frame], labels, 96, np.random.default_rng(3))
    assert not np.array_equal(one, other)
    rng = np.random.default_rng(3)
    draw_view(labels.shape, 96, rng)
    opaque, strokes, _ = draw_covers(96, rng)
    assert opaque.any()
    np.testing.assert_array_equal(one[opaque | strokes], other[opaque | strokes])


def test_what_is_covered_is_never_labelled_and_the_border_is_black():
    labels = np.ones((64, 64), np.uint8)
    frame = np.full((64, 64, 3), 255, np.uint8)
    bordered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        draw_view(labels.shape, 48, rng)
        opaque, _, drawn_there = draw_covers(48, rng)
        (seen,), moved = augment([frame], labels, 48, np.random.default_rng(seed))
        assert not moved[opaque].any()
        np.testing.assert_array_equal(seen[opaque], np.rint(255 * drawn_there[opaque]).astype(np.uint8))
        corners = opaque[[0, 0, -1, -1], [0, -1, 0, -1]].all() and opaque.mean() > 0.08
        if corners:
            bordered += 1
            assert np.median(seen[opaque]) < 40
            assert opaque.mean() < 0.75  # something is left to see
    assert 15 < bordered < 55


def test_the_same_draw_gives_the_same_frame_and_the_given_one_stays():
    frame, labels = coded()
    before = frame.copy(), labels.copy()
    (one,), first = augment([frame], labels, 50, np.random.default_rng(7))
    (other,), second = augment([frame], labels, 50, np.random.default_rng(7))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first, second)
    assert one.shape == (50, 50, 3)
    assert one.dtype == np.uint8
    assert first.dtype == labels.dtype
    np.testing.assert_array_equal(frame, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_looks_vary_and_stay_recognisable():
    frame, labels = coded()
    means, bright = [], 0
    for seed in range(40):
        (seen,), moved = augment([frame], labels, 64, np.random.default_rng(seed))
        means.append(seen[moved > 0].mean(0))
        bright += (seen[moved > 0].min(-1) > 245).any()
    spread = np.std(means, axis=0)
    assert (spread > 8).all()
    assert (np.mean(means, 0) > 50).all()
    assert bright > 5  # highlights


def test_frames_of_another_size_than_the_labels_are_refused():
    with pytest.raises(ValueError, match="one size"):
        augment([np.zeros((5, 5, 3), np.uint8)], np.zeros((5, 6), np.uint8), 4, np.random.default_rng(0))
