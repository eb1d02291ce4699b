"""Networks that segment folds, each against an independent statement of it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from inference_core.errors import UserError  # noqa: E402
from inference_core.models.networks import build_network  # noqa: E402
from inference_core.models.networks.endofm_transunet import EndofmTransunet  # noqa: E402
from inference_core.models.networks.fold_unet import FoldUnet  # noqa: E402
from inference_core.models.networks.transunet import Transunet  # noqa: E402
from inference_core.segmenter.probability import fold_and_touch  # noqa: E402
from inference_core.training.losses.dice_cross_entropy import dice_cross_entropy, two_classes  # noqa: E402

SIDE = 48
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


def group_norm(x, w, name, groups, eps):
    """Mean 0 and variance 1 of each group of channels of each image."""
    parts = x.reshape(len(x), groups, -1)
    middle = parts - parts.mean(2, keepdim=True)
    flat = middle / (middle.square().mean(2, keepdim=True) + eps).sqrt()
    return flat.reshape(x.shape) * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def fixed_norm(x, w, name):
    """Batch normalisation by the statistics of training."""
    scale = w[f"{name}.weight"] / (w[f"{name}.running_var"] + 1e-5).sqrt()
    return (x - w[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + w[f"{name}.bias"][:, None, None]


def layer_norm(x, w, name):
    middle = x - x.mean(-1, keepdim=True)
    return middle / (middle.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(x, w, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


def enlarged(x, corners):
    """Twice the sides, bilinear, by a matrix for rows and one for columns."""

    def matrix(n):
        k = torch.arange(2 * n, dtype=torch.float64)
        place = k * (n - 1) / (2 * n - 1) if corners else ((k + 0.5) / 2 - 0.5).clamp(0, n - 1)
        return (1 - (place[:, None] - torch.arange(n)).abs()).clamp(min=0)

    return matrix(x.shape[2]) @ x @ matrix(x.shape[3]).T


def split2(x):
    parts = [x[:, c, i::2, j::2] for c in range(x.shape[1]) for i in (0, 1) for j in (0, 1)]
    return torch.stack(parts, 1)


def join2(x):
    out = x.new_empty(len(x), x.shape[1] // 4, 2 * x.shape[2], 2 * x.shape[3])
    for k in range(x.shape[1]):
        out[:, k // 4, k % 4 // 2 :: 2, k % 2 :: 2] = x[:, k]
    return out


def restated_unet(x, w):
    def layer(x, name):
        y = F.conv2d(x, w[f"{name}.conv.weight"], padding=1)
        return fixed_norm(y, w, f"{name}.norm").clamp(min=0)

    def pair(x, name):
        return x + layer(layer(x, f"{name}.0"), f"{name}.1")

    levels = len({key.split(".")[1] for key in w if key.startswith("before")})
    x = pair(layer(split2(x), "first"), "before.0")
    skips = []
    for k in range(1, levels):
        skips.append(x)
        x = F.conv2d(x, w[f"down.{k - 1}.weight"], w[f"down.{k - 1}.bias"], stride=2)
        x = pair(x, f"before.{k}")
    for k in range(levels - 2, -1, -1):
        low = torch.einsum("oc,ncyx->noyx", w[f"up.{k}.weight"][:, :, 0, 0], x) + w[f"up.{k}.bias"][:, None, None]
        x = pair(skips[k] + enlarged(low, corners=False), f"after.{k}")
    return join2(F.conv2d(x, w["last.weight"], w["last.bias"], padding=1))


def restated_stem(x, w, before):
    def convolved(x, name, **more):
        kernel = w[f"{before}{name}.weight"]
        flat = kernel.reshape(len(kernel), -1)
        flat = flat - flat.mean(1, keepdim=True)
        flat = flat / (flat.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return F.conv2d(x, flat.reshape(kernel.shape), **more)

    x = convolved(x, "root.conv", stride=2, padding=3)
    x = group_norm(x, w, f"{before}root.gn", 32, 1e-6).clamp(min=0)
    skips = [x]
    windows = x.unfold(2, 3, 2).unfold(3, 3, 2)
    x = windows.amax((-1, -2))
    for block in (1, 2, 3):
        units = sorted({key.split(".unit")[1][0] for key in w if f"{before}body.block{block}.unit" in key})
        for unit in units:
            name = f"body.block{block}.unit{unit}"
            stride = 2 if block > 1 and unit == "1" else 1
            y = convolved(x, f"{name}.conv1")
            y = group_norm(y, w, f"{before}{name}.gn1", 32, 1e-6).clamp(min=0)
            y = convolved(y, f"{name}.conv2", stride=stride, padding=1)
            y = group_norm(y, w, f"{before}{name}.gn2", 32, 1e-6).clamp(min=0)
            y = group_norm(convolved(y, f"{name}.conv3"), w, f"{before}{name}.gn3", 32, 1e-6)
            if unit == "1":
                x = convolved(x, f"{name}.downsample", stride=stride)
                x = group_norm(x, w, f"{before}{name}.gn_proj", x.shape[1], 1e-5)
            x = (x + y).clamp(min=0)
        if block < 3:
            filled = x.new_zeros(*x.shape[:2], SIDE >> (block + 1), SIDE >> (block + 1))
            filled[:, :, : x.shape[2], : x.shape[3]] = x
            skips.append(filled)
    return x, skips


def restated_decoder(tokens, skips, w):
    """From (N, S, width) tokens, row by row."""

    def layer(x, name):
        return fixed_norm(F.conv2d(x, w[f"{name}.0.weight"], padding=1), w, f"{name}.1").clamp(min=0)

    side = SIDE // 16
    x = layer(torch.einsum("nsc->ncs", tokens).reshape(len(tokens), -1, side, side), "decoder.conv_more")
    for k in range(4):
        x = enlarged(x, corners=True)
        if k < 3:
            x = torch.cat([x, skips[2 - k]], 1)
        x = layer(layer(x, f"decoder.blocks.{k}.conv1"), f"decoder.blocks.{k}.conv2")
    return F.conv2d(x, w["segmentation_head.0.weight"], w["segmentation_head.0.bias"], padding=1)


def embedded(x, w):
    before = "transformer.embeddings."
    x, skips = restated_stem(x, w, f"{before}hybrid_model.")
    tokens = torch.einsum("oc,ncyx->nyxo", w[f"{before}patch_embeddings.weight"][:, :, 0, 0], x)
    tokens = (tokens + w[f"{before}patch_embeddings.bias"]).flatten(1, 2)
    return tokens + w[f"{before}position_embeddings"], skips


def attention(x, query, key, value, heads=2):
    """Of a row of tokens (L, width), head by head."""
    out, size = [], x.shape[1] // heads
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        weights = (query[:, part] @ key[:, part].T / size**0.5).exp()
        out.append(weights / weights.sum(1, keepdim=True) @ value[:, part])
    return torch.cat(out, 1)


def restated_endofm(clip, w):
    """One clip (T, 3, H, W), its tokens in one row: place by place, in each place frame by frame."""
    count = len(clip)

    def attend(x, name):
        query, key, value = linear(x, w, f"{name}.qkv").chunk(3, 1)
        return linear(attention(x, query, key, value), w, f"{name}.proj")

    tokens, skips = embedded(clip, w)
    places = tokens.shape[1]
    row = [tokens[t, s] for s in range(places) for t in range(count)]
    token, row = w["transformer.encoder.cls_token"][0, 0], torch.stack(row)
    for k in range(2):
        name = f"transformer.encoder.layer.{k}"
        later = row.clone()
        for s in range(places):
            part = slice(s * count, (s + 1) * count)
            seen = attend(layer_norm(row[part], w, f"{name}.temporal_norm1"), f"{name}.temporal_attn")
            later[part] = row[part] + linear(seen, w, f"{name}.temporal_fc")
        row, changes = later.clone(), []
        for t in range(count):
            one = torch.cat([token[None], later[t::count]])
            change = attend(layer_norm(one, w, f"{name}.norm1"), f"{name}.attn")
            changes.append(change[0])
            row[t::count] = later[t::count] + change[1:]
        every = torch.cat([(token + sum(changes) / count)[None], row])
        hidden = gelu(linear(layer_norm(every, w, f"{name}.norm2"), w, f"{name}.mlp.fc1"))
        every = every + linear(hidden, w, f"{name}.mlp.fc2")
        token, row = every[0], every[1:]
    row = layer_norm(row, w, "transformer.encoder.encoder_norm")
    return restated_decoder(torch.stack([row[t::count] for t in range(count)]), skips, w)


def restated_transunet(x, w):
    tokens, skips = embedded(x, w)
    out = []
    for row in tokens:
        for k in range(2):
            name = f"transformer.encoder.layer.{k}"
            y = layer_norm(row, w, f"{name}.attention_norm")
            parts = [linear(y, w, f"{name}.attn.{part}") for part in ("query", "key", "value")]
            row = row + linear(attention(y, *parts), w, f"{name}.attn.out")
            y = layer_norm(row, w, f"{name}.ffn_norm")
            row = row + linear(gelu(linear(y, w, f"{name}.ffn.fc1")), w, f"{name}.ffn.fc2")
        out.append(layer_norm(row, w, "transformer.encoder.encoder_norm"))
    return restated_decoder(torch.stack(out), skips, w)


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
