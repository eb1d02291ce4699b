"""Networks that segment folds, each against an independent statement of it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from restated_segmenters import SIDE, restated_endofm, restated_transunet, restated_unet  # noqa: E402

from inference_core.errors import UserError  # noqa: E402
from inference_core.models.networks import build_network  # noqa: E402
from inference_core.models.networks.endofm_transunet import EndofmTransunet  # noqa: E402
from inference_core.models.networks.fold_unet import FoldUnet  # noqa: E402
from inference_core.models.networks.transunet import Transunet  # noqa: E402
from inference_core.segmenter.probability import fold_and_touch  # noqa: E402
from inference_core.training.losses.dice_cross_entropy import dice_cross_entropy, two_classes  # noqa: E402

TINY = {"image_size": SIDE, "width": 8, "depth": 2, "heads": 2, "stem_width": 32, "stem_units": (2, 1, 1),
        "first_width": 16, "decoder_widths": (14, 12, 10, 8)}  # fmt: skip
NETWORKS = {
    "fold_unet": lambda: FoldUnet((8, 16, 24)),
    "endofm_transunet": lambda: EndofmTransunet(**TINY, temporal_mode="clip"),
    "transunet": lambda: Transunet(**TINY),
}


def randomised(network, seed=0):
    """Weights, offsets and running statistics all drawn, in double precision, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    network = network.double()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(0.3 * torch.randn(value.shape, generator=generator, dtype=torch.float64))
                if name.endswith("running_var"):
                    value.copy_(value.abs() + 0.5)
    return network.eval()


def frames(*shape, side=SIDE, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(*shape, 3, side, side, generator=generator, dtype=torch.float64) - 1


def assert_same(got, expected):
    torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)
    assert (got.flatten(0, -4)[0] - got.flatten(0, -4)[-1]).std() > 1e-3  # weights that do something


def test_the_unet_equals_an_independent_statement():
    network, x = randomised(NETWORKS["fold_unet"]()), frames(2)[..., :32]
    with torch.no_grad():
        assert_same(network(x), restated_unet(x, network.state_dict()))


def test_transunet_equals_an_independent_statement():
    network, x = randomised(NETWORKS["transunet"]()), frames(2)
    with torch.no_grad():
        assert_same(network(x), restated_transunet(x, network.state_dict()))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_endofm_transunet_equals_an_independent_statement(count):
    network, x = randomised(NETWORKS["endofm_transunet"]()), frames(2, count)
    with torch.no_grad():
        expected = torch.stack([restated_endofm(clip, network.state_dict()) for clip in x])
        assert_same(network(x), expected)


def test_sizes_are_those_of_the_published_code():
    with torch.device("meta"):
        sizes = {
            (140_730_786, 458): EndofmTransunet(),
            (140_776_866, 458): EndofmTransunet(256),
            (105_276_066, 409): Transunet(),
            (105_322_146, 409): Transunet(256),
        }
    for (size, keys), network in sizes.items():
        assert sum(parameter.numel() for parameter in network.parameters()) == size
        assert len(network.state_dict()) == keys
    parts = sizes[140_730_786, 458]
    counted = [parts.transformer.embeddings.hybrid_model, parts.transformer.encoder, parts.decoder]
    assert [sum(p.numel() for p in part.parameters()) for part in counted] == [11_894_848, 120_510_720, 7_387_200]
    assert 1.8e6 < sum(parameter.numel() for parameter in FoldUnet().parameters()) < 2.2e6


@pytest.mark.parametrize("name", NETWORKS)
def test_a_card_finds_the_network_by_its_name(name):
    with torch.device("meta"):
        assert type(build_network(name, {})) is type(NETWORKS[name]())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_prediction_is_independent_of_its_batch_mates(name):
    network, x = randomised(NETWORKS[name]()), frames(3)
    other = torch.cat([x[:1], 100 * frames(2, seed=5)])
    with torch.no_grad():
        torch.testing.assert_close(network(x)[:1], network(x[:1]), atol=1e-10, rtol=0)
        torch.testing.assert_close(network(x)[:1], network(other)[:1], atol=1e-10, rtol=0)


def seen_by_the_first(network, count=2):
    """Which frames of an item the first frame's prediction depends on."""
    x = frames(1, count).requires_grad_()
    network(x)[0, 0].square().sum().backward()
    return [bool(x.grad[0, t].abs().max() > 1e-12) for t in range(count)]


@pytest.mark.parametrize(
    ("mode", "training", "seen"),
    [
        ("per_image", True, [True, False]),
        ("per_image", False, [True, False]),
        ("pair", True, [True, True]),
        ("pair", False, [True, False]),
        ("clip", True, [True, True]),
        ("clip", False, [True, True]),
    ],
)
def test_the_temporal_mode_says_which_frames_see_each_other(mode, training, seen):
    network = randomised(EndofmTransunet(**TINY, temporal_mode=mode))
    network.transformer.train(training)
    network.training = training  # the decoder's batch statistics stay fixed: only attention is looked at
    assert seen_by_the_first(network) == seen


def test_a_single_frame_is_the_same_in_every_mode():
    x = frames(2)
    with torch.no_grad():
        one, *others = (randomised(EndofmTransunet(**TINY, temporal_mode=m))(x) for m in ("per_image", "pair", "clip"))
    for other in others:
        assert torch.equal(one, other)


def test_clips_are_independent_of_each_other():
    network, x = randomised(NETWORKS["endofm_transunet"]()), frames(2, 3)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[:1], network(x[:1]), atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("endofm_transunet", {**TINY, "temporal_mode": "batch"}, "per_image"),
        ("endofm_transunet", {**TINY, "image_size": 250}, "multiple of 16"),
        ("endofm_transunet", {**TINY, "heads": 3}, "do not divide"),
        ("transunet", {**TINY, "heads": 3}, "do not divide"),
        ("fold_unet", {"widths": (24,)}, "two scales"),
    ],
)
def test_what_cannot_be_built_is_refused(name, arguments, message):
    with pytest.raises(UserError, match=message):
        build_network(name, arguments)


def test_frames_of_another_size_are_refused():
    with pytest.raises(ValueError, match="48 pixels"):
        NETWORKS["transunet"]()(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="two frames"):
        EndofmTransunet(**TINY, temporal_mode="pair")(torch.zeros(1, 3, 3, SIDE, SIDE))


def loss_of(network, x, labels):
    """Folds against labels, by each network's kind of output."""
    logits = network(x).flatten(0, x.ndim - 4)
    if isinstance(network, FoldUnet):
        return dice_cross_entropy(two_classes(logits[:, 0]), labels) + 0 * logits.sum()
    return dice_cross_entropy(logits, labels)


def drawn_discs(count):
    """Frames with bright discs on a noisy ground, and where they are."""
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:SIDE, :SIDE]
    labels = np.stack([(v - y) ** 2 + (u - x) ** 2 < 120 for y, x in rng.uniform(14, 34, (count, 2))])
    x = np.stack([labels - 0.5, 0.3 - labels, 0.2 + 0 * labels], 1) + rng.normal(0, 0.2, (count, 3, SIDE, SIDE))
    return torch.from_numpy(x.clip(-1, 1)).float(), torch.from_numpy(labels)


@pytest.mark.parametrize("mode", ["fold_unet", "per_image", "pair", "transunet"])
def test_a_batch_is_learned_by_heart(mode):
    torch.manual_seed(0)
    small = {**TINY, "stem_units": (1, 1, 1), "first_width": 16, "decoder_widths": (16, 16, 8, 8)}
    network = NETWORKS[mode]() if mode == "fold_unet" else None
    network = network or (Transunet(**small) if mode == "transunet" else EndofmTransunet(**small, temporal_mode=mode))
    x, labels = drawn_discs(4)
    given = x.reshape(2, 2, *x.shape[1:]) if mode == "pair" else x
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    first = None
    for _ in range(80):
        loss = loss_of(network, given, labels)
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        optimiser.step()
    assert loss.item() < 0.15 * first
    network.eval()
    with torch.no_grad():
        output = "fold-and-touch" if mode == "fold_unet" else "classes"
        fold = torch.from_numpy(fold_and_touch(network(x).numpy(), output)[0]) > 0.5
    assert (fold & labels).sum() / (fold | labels).sum() > 0.9


@pytest.mark.parametrize("output", ["fold-and-touch", "classes"])
def test_probabilities_are_those_that_training_means(output):
    logits = 4 * torch.randn(2, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits[0, 0, 0, 0] = 500  # no overflow
    fold, touch = fold_and_touch(logits.numpy(), output)
    if output == "classes":
        expected = logits.softmax(1)[:, 1]
        assert touch is None
    else:
        expected = two_classes(logits[:, 0]).softmax(1)[:, 1]
        np.testing.assert_allclose(touch, torch.sigmoid(logits[:, 1]), atol=1e-6)
    np.testing.assert_allclose(fold, expected, atol=1e-6)
    with pytest.raises(ValueError, match="Two logits"):
        fold_and_touch(np.zeros((1, 3, 4, 4)), output)


def test_onnxruntime_gives_what_torch_gives_at_any_size(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = FoldUnet((8, 16)).eval()
    sides = {2: torch.export.Dim("rows") * 4, 3: torch.export.Dim("columns") * 4}
    path = tmp_path / "fold.onnx"
    torch.onnx.export(
        network, (frames(1).float(),), str(path), input_names=["frames"], dynamo=True, dynamic_shapes=(sides,),
        external_data=False, verbose=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for rows, columns in ((48, 48), (32, 60)):
        x = torch.randn(1, 3, rows, columns, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = network(x).numpy()
        np.testing.assert_allclose(session.run(None, {"frames": x.numpy()})[0], expected, atol=1e-5)
