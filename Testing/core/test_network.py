import numpy as np
import pytest

torch = pytest.importorskip("torch")

from inference_core.errors import UserError  # noqa: E402
from inference_core.models.networks import build_network, load_network  # noqa: E402
from inference_core.models.registry import list_models  # noqa: E402


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """3x3 convolution with zero padding, by nine shifted matrix products."""
    rows, columns = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(weight), rows, columns)) + bias[:, None, None]
    for i in range(3):
        for j in range(3):
            out += np.einsum("oc,cyx->oyx", weight[:, :, i, j], padded[:, i : i + rows, j : j + columns])
    return out


def split2(x: np.ndarray) -> np.ndarray:
    """Pixel-unshuffle by 2: channel c becomes channels 4c to 4c + 3."""
    return np.stack([plane[i::2, j::2] for plane in x for i in (0, 1) for j in (0, 1)])


def join2(x: np.ndarray) -> np.ndarray:
    """The other way."""
    out = np.empty((len(x) // 4, 2 * x.shape[1], 2 * x.shape[2]))
    for k, plane in enumerate(x):
        out[k // 4, k % 4 // 2 :: 2, k % 2 :: 2] = plane
    return out


def restated_cnn(image: np.ndarray, weights: dict[str, np.ndarray], depth: int) -> np.ndarray:
    """``unshuffle_cnn`` once more in plain numpy, from its description."""

    def layer(x, name):
        return convolve(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = np.maximum(layer(split2(image[None]), "first"), 0)
    for k in range(depth // 2 - 1):
        x = np.maximum(x + layer(np.maximum(layer(x, f"body.{2 * k}"), 0), f"body.{2 * k + 1}"), 0)
    return join2(layer(x, "last"))[0]


def restated_unet(image: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """``unshuffle_unet`` once more in plain numpy, from its description."""

    def layer(x, name):
        return convolve(x, weights[f"{name}.weight"], np.zeros(len(weights[f"{name}.weight"])))

    def pairs(x, name):
        for k in range(sum(key.startswith(name) for key in weights) // 2):
            x = np.maximum(x + layer(np.maximum(layer(x, f"{name}.{2 * k}"), 0), f"{name}.{2 * k + 1}"), 0)
        return x

    x = pairs(np.maximum(layer(split2(image[None]), "first"), 0), "before")
    # A 2x2 convolution of stride 2 is a matrix product over the four pixels that the unshuffle brings together.
    parts = split2(x).reshape(len(x), 4, x.shape[1] // 2, x.shape[2] // 2)
    low = np.einsum("ock,ckyx->oyx", weights["down.weight"].reshape(len(weights["down.weight"]), len(x), 4), parts)
    low = pairs(np.maximum(low, 0), "low")
    x = np.maximum(x + join2(np.einsum("oc,cyx->oyx", weights["up.weight"][:, :, 0, 0], low)), 0)
    return join2(layer(pairs(x, "after"), "last"))[0]


@pytest.mark.parametrize(
    ("name", "arguments", "restated"),
    [
        ("unshuffle_cnn", {"width": 8, "depth": 4}, lambda image, weights: restated_cnn(image, weights, 4)),
        ("unshuffle_cnn", {"width": 32, "depth": 8}, lambda image, weights: restated_cnn(image, weights, 8)),
        ("unshuffle_unet", {"width": 8, "low_width": 4, "depth": 4, "low_depth": 2}, restated_unet),
        ("unshuffle_unet", {}, restated_unet),
    ],
)
def test_equals_an_independent_statement(name, arguments, restated):
    torch.manual_seed(0)
    network = build_network(name, arguments).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1)
    image = np.random.default_rng(0).normal(size=(20, 28))
    with torch.inference_mode():
        got = network(torch.from_numpy(image)[None, None])[0, 0].numpy()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    np.testing.assert_allclose(got, restated(image, weights), atol=1e-9)


@pytest.mark.parametrize("scale", [0.02, 0.5, 7.0, 300.0])
def test_the_unet_scales_with_its_input(scale):
    torch.manual_seed(0)
    network = build_network("unshuffle_unet", {}).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1)
    x = torch.randn(1, 1, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(network(scale * x), scale * network(x))


def test_default_size():
    sizes = {"unshuffle_cnn": 57_828, "unshuffle_unet": 134_400}
    for name, size in sizes.items():
        assert sum(parameter.numel() for parameter in build_network(name, {}).parameters()) == size


@pytest.mark.parametrize("name", ["unshuffle_cnn", "unshuffle_unet"])
def test_untrained_network_changes_nothing(name):
    network = build_network(name, {})
    assert network(torch.randn(2, 1, 16, 16)).abs().max() == 0


def test_a_prediction_does_not_depend_on_its_batch():
    network = load_network(list_models("denoise-ct")[0])
    x = torch.randn(3, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=1e-5)


def test_what_lies_beyond_the_cards_halo_changes_nothing():
    for card in list_models("denoise-ct"):
        network = load_network(card).double()
        size = 8 * card.halo // network.factor * network.factor
        first = size // 2 // network.factor * network.factor
        last = first + network.factor  # one block: tiles start on multiples of the factor
        x, other = torch.randn(2, 1, 1, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        near = slice(first - card.halo, last + card.halo)
        other[..., near, near] = x[..., near, near]
        with torch.inference_mode():
            one, two = (network(image)[..., first:last, first:last] for image in (x, other))
        torch.testing.assert_close(one, two, atol=1e-12, rtol=0)


def test_odd_depth_is_refused():
    for name in ("unshuffle_cnn", "unshuffle_unet"):
        with pytest.raises(UserError, match="even"):
            build_network(name, {"depth": 7})


def test_unknown_network_is_refused():
    with pytest.raises(UserError, match="no network"):
        build_network("transformer", {})
