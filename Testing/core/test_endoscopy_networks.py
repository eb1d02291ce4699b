"""Networks of the translation: against independent statements, in published layouts, and frozen as judges."""

import json
import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from inference_core.errors import UserError  # noqa: E402
from inference_core.models.importers import Source, card_of, read_original  # noqa: E402
from inference_core.models.importers.disp_resnet import read_disp_resnet  # noqa: E402
from inference_core.models.networks import build_network  # noqa: E402
from inference_core.models.networks.depth_net import DepthNet  # noqa: E402
from inference_core.models.networks.disp_resnet import DispResnet  # noqa: E402
from inference_core.models.networks.resnet_generator import ResnetGenerator  # noqa: E402
from inference_core.training.depth_scores import depth_scores  # noqa: E402
from inference_core.training.frozen_depth import DepthAnything, FrozenDepth, open_frozen_depth  # noqa: E402
from inference_core.training.losses.log_depth import LogDepthL1, log_depth_l1  # noqa: E402
from inference_core.training.losses.silog import silog_loss  # noqa: E402


def frames(count=2, rows=64, columns=64, seed=0):
    return torch.rand(count, 3, rows, columns, generator=torch.Generator().manual_seed(seed))


def randomised(network, seed=1, scale=0.1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(scale * torch.randn(value.shape, generator=generator, dtype=value.dtype))
        for name, value in network.named_buffers():
            if name.endswith("running_var"):
                value.abs_().add_(0.5)
    return network


# --- the generator in the published layout ---


def mirrored(x, n):
    rows, columns = ([*range(n, 0, -1), *range(side), *range(side - 2, side - 2 - n, -1)] for side in x.shape[2:])
    return x[:, :, rows][:, :, :, columns]


def normalised(x):
    middle = x - x.mean((2, 3), keepdim=True)
    return middle / (middle.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def published_generator(state, x, blocks, resize=False):
    """The published code's generator, from its keys: what each numbered layer does to an image."""

    def conv(name, x, **how):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **how)

    x = normalised(conv("model.1", mirrored(x, 3))).relu()
    for k in (4, 7):
        x = normalised(conv(f"model.{k}", x, stride=2, padding=1)).relu()
    for k in range(10, 10 + blocks):
        y = normalised(conv(f"model.{k}.conv_block.1", mirrored(x, 1))).relu()
        x = x + normalised(conv(f"model.{k}.conv_block.5", mirrored(y, 1)))
    for k in (10 + blocks, 13 + blocks):
        if resize:
            x = conv(f"model.{k}.2", mirrored(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), 1))
        else:
            weight, bias = state[f"model.{k}.weight"], state[f"model.{k}.bias"]
            x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
        x = normalised(x).relu()
    return conv(f"model.{17 + blocks}", mirrored(x, 3)).tanh()


def cyclegan_state(width=4, blocks=3, channels=3):
    network = randomised(ResnetGenerator(width=width, blocks=blocks, channels=channels, tanh=True))
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize(("width", "blocks", "prefix"), [(4, 3, ""), (6, 6, "module."), (4, 9, "")])
def test_a_published_cyclegan_checkpoint_gives_what_the_original_gives(tmp_path, width, blocks, prefix):
    state = cyclegan_state(width, blocks)
    path = tmp_path / "latest_net_G_B.pth"
    torch.save({prefix + name: value for name, value in state.items()}, path)
    original = read_original(Source(path, "cyclegan"))
    assert original.arguments == {"width": width, "blocks": blocks, "channels": 3, "tanh": True}
    network = build_network(original.network, original.arguments)
    network.load_state_dict(original.weights)
    x = 2 * frames(1, 32, 40) - 1
    with torch.no_grad():
        expected = published_generator(state, x, blocks)
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.1
    text = card_of(original, Source(path, "cyclegan"))
    assert text["task"] == "translate-frames"
    assert text["input"]["values"] == [-1, 1]
    assert str(tmp_path) not in str(text)


def spoilt(change):
    state = cyclegan_state()
    change(state)
    return state


@pytest.mark.parametrize(
    ("state", "named"),
    [
        (spoilt(lambda s: s.pop("model.7.weight")), "missing: model.7.weight"),
        (spoilt(lambda s: s.update({"model.2.running_mean": torch.zeros(4)})), "not known: model.2.running_mean"),
        (spoilt(lambda s: s.update({"model.4.weight": torch.zeros(8, 4, 4, 4)})), "(8, 4, 4, 4), not (8, 4, 3, 3)"),
        (cyclegan_state(channels=1), "1 channel(s), not RGB"),
        ({"conv.weight": torch.zeros(2)}, "missing: model.1.weight"),
    ],
)
def test_another_layout_is_refused_by_name(tmp_path, state, named):
    torch.save(state, tmp_path / "latest_net_G_A.pth")
    with pytest.raises(UserError) as error:
        read_original(Source(tmp_path / "latest_net_G_A.pth", "cyclegan"))
    assert error.value.code == "bad-checkpoint"
    assert named in error.value.message


def test_an_imported_generator_becomes_a_model(tmp_path, capsys):
    pytest.importorskip("onnxscript")
    from inference_core.cli import main
    from inference_core.models.registry import find_model

    torch.save(cyclegan_state(), tmp_path / "latest_net_G_B.pth")
    main(["models", "import", str(tmp_path / "latest_net_G_B.pth"), "--from", "cyclegan", "--name", "theirs"])
    assert "does not say from which look" in capsys.readouterr().out
    assert find_model("theirs", "translate-frames").size == 256


def test_resizing_and_convolving_is_what_it_says_and_leaves_no_checkerboard():
    made = randomised(ResnetGenerator(width=4, blocks=1, channels=3, tanh=True, enlarge="resize")).eval()
    x = 2 * frames(1, 32, 40) - 1
    with torch.no_grad():
        torch.testing.assert_close(made(x), published_generator(made.state_dict(), x, 1, resize=True))

    def checkered(enlarge):
        """How much of a doubled flat image repeats with a period of two pixels."""
        network = ResnetGenerator(width=8, blocks=1, enlarge=enlarge)
        flat = torch.ones(1, 32, 12, 12)
        with torch.no_grad():
            y = next(m for n, m in network.model.named_children() if n == "11")(flat)[:, :, 4:-4, 4:-4]
        return y.std(dim=(2, 3)).mean().item()

    assert checkered("resize") < 1e-6
    assert checkered("transposed") > 1e-3
    with pytest.raises(UserError, match="transposed or resize"):
        build_network("resnet_generator", {"enlarge": "bilinear"})


def test_the_last_layer_of_a_generator_may_see_the_image_too():
    published = randomised(ResnetGenerator(width=4, blocks=1, channels=3, tanh=True)).eval()
    skipping = ResnetGenerator(width=4, blocks=1, channels=3, tanh=True, skip=True).eval()
    weights = published.state_dict()
    last = next(name for name, value in weights.items() if value.ndim == 4 and len(value) == 3)
    through = torch.zeros(3, 3, 7, 7)
    for k in range(3):
        through[k, k, 3, 3] = 0.5
    weights[last] = torch.cat([weights[last], through], dim=1)
    skipping.load_state_dict(weights)
    x = 2 * frames(1, 32, 40) - 1
    with torch.no_grad():
        torch.testing.assert_close(torch.atanh(skipping(x)), torch.atanh(published(x)) + 0.5 * x, atol=1e-3, rtol=1e-3)


# --- DispResNet ---


def restated_disp_resnet(state, x, layers):
    """ResNet features and the decoder, from the checkpoint's keys alone."""

    def conv(name, x, **how):
        return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **how)

    def norm(name, x):
        mean, var = (state[f"{name}.running_{part}"][:, None, None] for part in ("mean", "var"))
        scaled = (x - mean) / (var + 1e-5).sqrt()
        return scaled * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]

    def block(name, x, stride):
        if layers == 18:
            y = norm(f"{name}.bn1", conv(f"{name}.conv1", x, stride=stride, padding=1)).relu()
            y = norm(f"{name}.bn2", conv(f"{name}.conv2", y, padding=1))
        else:
            y = norm(f"{name}.bn1", conv(f"{name}.conv1", x)).relu()
            y = norm(f"{name}.bn2", conv(f"{name}.conv2", y, stride=stride, padding=1)).relu()
            y = norm(f"{name}.bn3", conv(f"{name}.conv3", y))
        if f"{name}.downsample.0.weight" in state:
            x = norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, stride=stride))
        return (x + y).relu()

    e = "encoder.encoder"
    x = (x - 0.45) / 0.225
    features = [norm(f"{e}.bn1", conv(f"{e}.conv1", x, stride=2, padding=3)).relu()]
    x = F.max_pool2d(features[0], 3, 2, 1)
    for stage, count in enumerate({18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[layers]):
        for k in range(count):
            x = block(f"{e}.layer{stage + 1}.{k}", x, 2 if stage and k == 0 else 1)
        features.append(x)

    def smooth(k, x):
        return F.elu(conv(f"decoder.decoder.{k}.conv.conv", mirrored(x, 1)))

    for k, level in enumerate((4, 3, 2, 1, 0)):
        x = smooth(2 * k, x).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = smooth(2 * k + 1, torch.cat([x, features[level - 1]], 1) if level else x)
    disparity = 10 / (1 + torch.exp(-conv("decoder.decoder.10.conv", mirrored(x, 1)))) + 0.01
    return 1 / disparity


def disp_state(layers):
    """Random weights that keep the size of what passes through."""
    network = DispResnet(layers)
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=generator)
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize(("layers", "keys", "size"), [(18, 150, 14_842_236), (50, 348, 34_571_132)])
def test_a_disp_resnet_checkpoint_gives_what_the_original_gives(tmp_path, layers, keys, size):
    state = disp_state(layers)
    assert len(state) == keys
    path = tmp_path / "dispnet_model_best.pth.tar"
    torch.save({"epoch": 7, "state_dict": state}, path)
    network = read_disp_resnet(path)
    assert sum(parameter.numel() for parameter in network.parameters()) == size
    x = frames(1)
    with torch.no_grad():
        expected = restated_disp_resnet(state, x, layers)
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 1e-3
    frozen = open_frozen_depth(str(path), 96)
    assert frozen.unit == "relative"
    assert frozen(x).shape == (1, 1, 64, 64)


def test_a_disp_resnet_of_another_layout_is_refused(tmp_path):
    state = disp_state(18)
    del state["decoder.decoder.9.conv.conv.bias"]
    torch.save({"epoch": 7, "state_dict": state}, tmp_path / "d.pth")
    with pytest.raises(UserError, match=r"missing: decoder\.decoder\.9"):
        open_frozen_depth(str(tmp_path / "d.pth"))


# --- our depth network ---


def test_the_depth_network_is_small_and_says_mm_from_the_start():
    network = DepthNet()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count <= 2_000_000
    assert 4 * count <= 8e6
    with torch.no_grad():
        depth = network(frames(1, 48, 80))
    assert depth.shape == (1, 1, 48, 80)
    torch.testing.assert_close(depth, torch.full_like(depth, 30.0))


def test_the_depth_network_can_learn_a_batch_by_heart():
    torch.manual_seed(0)
    network = DepthNet(width=8, widest=32)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 1, 4, 4, generator=generator)
    target = 5 + 60 * F.interpolate(coarse, (32, 32), mode="bilinear")
    rgb = (20 / target).clamp(max=1).expand(-1, 3, -1, -1) + 0.02 * torch.rand(2, 3, 32, 32, generator=generator)
    known = torch.ones_like(target, dtype=torch.bool)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(150):
        optimiser.zero_grad()
        depth = network(rgb)
        (silog_loss(depth, target, known) + log_depth_l1(depth, target, known)).backward()
        optimiser.step()
    scores = depth_scores(network(rgb).detach(), target, known)
    assert scores["abs_rel"] < 0.05
    assert scores["within_25_percent"] > 0.97


# --- frozen ---


class SeesItsMates(torch.nn.Module):
    """Batch normalisation in training mode would mix images; and it records what size it saw."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.conv = torch.nn.Conv2d(3, 1, 3, padding=1)
        self.seen = []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        return self.conv(self.norm(x)).exp()


def test_a_frozen_network_sees_one_frame_at_its_size_and_learns_nothing():
    network = SeesItsMates()
    frozen = torch.nn.ModuleDict({"judge": FrozenDepth(network, 48, 16, "mm")}).train()["judge"]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = frames(3, 32, 32).requires_grad_()
    depth = frozen(x)
    assert depth.shape == (3, 1, 32, 32)
    assert network.seen == [(1, 3, 48, 48)] * 3
    depth[1].sum().backward()
    assert x.grad[1].abs().sum() > 0
    assert not x.grad[[0, 2]].any()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    torch.testing.assert_close(frozen(x[1:2])[0], depth[1])


@pytest.mark.parametrize("name", ["no-such-model", "nowhere/model.json"])
def test_a_depth_network_that_is_not_there_is_said(name):
    with pytest.raises(UserError) as error:
        open_frozen_depth(name)
    assert error.value.code == "no-such-model"


def test_a_folder_that_is_no_depth_anything_is_said(tmp_path):
    for content in ("{}", json.dumps({"model_type": "bert"})):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(UserError) as error:
            open_frozen_depth(str(tmp_path))
        assert error.value.code == "bad-checkpoint"


def test_depth_anything_gives_relative_depth_of_the_frames_size(tmp_path):
    transformers = pytest.importorskip("transformers")
    backbone = {"model_type": "dinov2", "hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2,
                "patch_size": 14, "image_size": 56, "out_features": [f"stage{k}" for k in (1, 2, 3, 4)],
                "apply_layernorm": True, "reshape_hidden_states": False}  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=transformers.AutoConfig.for_model(**backbone), patch_size=14, reassemble_hidden_size=24,
        neck_hidden_sizes=[4, 8, 16, 16], fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    torch.manual_seed(0)
    made = transformers.DepthAnythingForDepthEstimation(config)
    made.save_pretrained(tmp_path)
    frozen = open_frozen_depth(str(tmp_path), 56)
    assert isinstance(frozen.network, DepthAnything)
    assert frozen.unit == "relative"
    x = frames(2, 64, 64).requires_grad_()
    depth = frozen(x)
    assert depth.shape == (2, 1, 64, 64)
    assert 0 < depth.min() <= depth.max() <= 10
    torch.testing.assert_close(frozen(x[:1])[0], depth[0])
    depth[0].sum().backward()
    assert not x.grad[1].any()
    with pytest.raises(UserError) as error:
        open_frozen_depth(str(tmp_path), 64)
    assert error.value.code == "depth-size"


def test_depth_anything_small_is_of_the_published_size():
    transformers = pytest.importorskip("transformers")
    backbone = transformers.AutoConfig.for_model(
        "dinov2", hidden_size=384, num_hidden_layers=12, num_attention_heads=6, patch_size=14, image_size=518,
        out_indices=[9, 10, 11, 12], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=384, neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64, head_hidden_size=32,
    )  # fmt: skip
    with torch.device("meta"):
        network = transformers.DepthAnythingForDepthEstimation(config)
    assert sum(parameter.numel() for parameter in network.parameters()) == 24_785_089


# --- errors of depth ---


def test_depth_scores_of_known_errors():
    target = torch.full((2, 1, 4, 4), 20.0)
    known = torch.ones_like(target, dtype=torch.bool)
    twice = depth_scores(2 * target, target, known)
    assert twice == pytest.approx({"abs_rel": 1, "rmse_mm": 20, "within_25_percent": 0, "scale": 2})
    known[1] = False
    assert depth_scores(torch.cat([target[:1], 9 * target[:1]]), target, known)["abs_rel"] == 0
    assert depth_scores(target, target, known & False) == {}


def test_the_log_l1_charges_a_factor_alike_in_both_directions():
    target = torch.full((1, 1, 4, 4), 20.0, dtype=torch.float64)
    known = torch.ones_like(target, dtype=torch.bool)
    for factor in (2, 0.5):
        assert log_depth_l1(factor * target, target, known).item() == pytest.approx(math.log(2))
    assert LogDepthL1()(2 * target, 0 * target, known & False).item() == 0
    smooth = (target * torch.rand(target.shape, dtype=torch.float64).add(1.1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: log_depth_l1(x, target, known), (smooth,))
