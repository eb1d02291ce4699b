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


def restated(image: np.ndarray, weights: dict[str, np.ndarray], pairs: int) -> np.ndarray:
    """The network once more in plain numpy, from its description."""

    def layer(x, name):
        return convolve(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = np.stack([image[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    x = np.maximum(layer(x, "first"), 0)
    for k in range(pairs):
        x = np.maximum(x + layer(np.maximum(layer(x, f"body.{2 * k}"), 0), f"body.{2 * k + 1}"), 0)
    x = layer(x, "last")
    out = np.empty_like(image)
    for k, (i, j) in enumerate((i, j) for i in (0, 1) for j in (0, 1)):
        out[i::2, j::2] = x[k]
    return out


@pytest.mark.parametrize(("width", "depth"), [(8, 4), (32, 8)])
def test_equals_an_independent_statement(width, depth):
    torch.manual_seed(0)
    network = build_network("unshuffle_cnn", {"width": width, "depth": depth}).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1)
    image = np.random.default_rng(0).normal(size=(20, 26))
    with torch.inference_mode():
        got = network(torch.from_numpy(image)[None, None])[0, 0].numpy()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    np.testing.assert_allclose(got, restated(image, weights, (depth - 2) // 2), atol=1e-10)


def test_default_size():
    network = build_network("unshuffle_cnn", {})
    assert sum(parameter.numel() for parameter in network.parameters()) == 57_828


def test_untrained_network_changes_nothing():
    network = build_network("unshuffle_cnn", {})
    assert network(torch.randn(2, 1, 16, 16)).abs().max() == 0


def test_a_prediction_does_not_depend_on_its_batch():
    network = load_network(list_models("denoise-ct")[0])
    x = torch.randn(3, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=1e-5)


def test_the_cards_halo_is_the_networks_reach():
    for card in list_models("denoise-ct"):
        network = load_network(card).double()
        size = 4 * card.halo
        x = torch.zeros(1, 1, size, size, dtype=torch.float64, requires_grad=True)
        middle = size // 2
        (network(x)[0, 0, middle : middle + 2, middle : middle + 2] ** 1).sum().backward()
        rows = x.grad[0, 0].abs().sum(1).nonzero()[:, 0]
        assert middle - rows.min() <= card.halo
        assert rows.max() - (middle + 1) <= card.halo


def test_odd_depth_is_refused():
    with pytest.raises(ValueError, match="even"):
        build_network("unshuffle_cnn", {"depth": 7})


def test_unknown_network_is_refused():
    with pytest.raises(UserError, match="no network"):
        build_network("transformer", {})
