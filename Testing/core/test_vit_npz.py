"""ImageNet weights in the layout of their publication start a TransUNet that sees as they would."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from inference_core.errors import UserError  # noqa: E402
from inference_core.models.importers.vit_npz import start_from_vit  # noqa: E402
from inference_core.models.networks.transunet import Transunet  # noqa: E402

WIDTH, HEADS, STEM, UNITS, DEPTH = 24, 4, 32, (1, 2, 1), 2


def published(grid=4, seed=0):
    """Arrays as JAX has them."""
    rng = np.random.default_rng(seed)

    def drawn(*shape):
        return rng.normal(0, 0.2, shape).astype(np.float32)

    arrays = {"cls": drawn(1, 1, WIDTH), "head/kernel": drawn(WIDTH, 10), "head/bias": drawn(10)}
    arrays |= {"embedding/kernel": drawn(1, 1, 16 * STEM, WIDTH), "embedding/bias": drawn(WIDTH)}
    arrays["Transformer/posembed_input/pos_embedding"] = drawn(1, 1 + grid * grid, WIDTH)
    arrays |= {f"Transformer/encoder_norm/{kind}": drawn(WIDTH) for kind in ("scale", "bias")}
    for k in range(DEPTH):
        name = f"Transformer/encoderblock_{k}"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            arrays |= {f"{name}/{norm}/{kind}": drawn(WIDTH) for kind in ("scale", "bias")}
        attention = f"{name}/MultiHeadDotProductAttention_1"
        for part in ("query", "key", "value"):
            arrays[f"{attention}/{part}/kernel"] = drawn(WIDTH, HEADS, WIDTH // HEADS)
            arrays[f"{attention}/{part}/bias"] = drawn(HEADS, WIDTH // HEADS)
        arrays[f"{attention}/out/kernel"] = drawn(HEADS, WIDTH // HEADS, WIDTH)
        arrays[f"{attention}/out/bias"] = drawn(WIDTH)
        arrays |= {f"{name}/MlpBlock_3/Dense_0/kernel": drawn(WIDTH, 4 * WIDTH)}
        arrays |= {f"{name}/MlpBlock_3/Dense_0/bias": drawn(4 * WIDTH)}
        arrays |= {f"{name}/MlpBlock_3/Dense_1/kernel": drawn(4 * WIDTH, WIDTH)}
        arrays |= {f"{name}/MlpBlock_3/Dense_1/bias": drawn(WIDTH)}
    arrays |= {"conv_root/kernel": drawn(7, 7, 3, STEM), "gn_root/scale": drawn(STEM), "gn_root/bias": drawn(STEM)}
    before = STEM
    for stage, count in enumerate(UNITS):
        width = STEM << stage
        for unit in range(count):
            name = f"block{stage + 1}/unit{unit + 1}"
            sides = ((before, width, 1), (width, width, 3), (width, 4 * width, 1))
            for n, (inputs, outputs, side) in enumerate(sides, 1):
                arrays[f"{name}/conv{n}/kernel"] = drawn(side, side, inputs, outputs)
                arrays |= {f"{name}/gn{n}/{kind}": drawn(1, 1, 1, outputs) for kind in ("scale", "bias")}
            if not unit:
                arrays[f"{name}/conv_proj/kernel"] = drawn(1, 1, before, 4 * width)
                arrays |= {f"{name}/gn_proj/{kind}": drawn(1, 1, 1, 4 * width) for kind in ("scale", "bias")}
            before = 4 * width
    return arrays


def network(size=64):
    return Transunet(size, WIDTH, DEPTH, HEADS, STEM, UNITS, 16, (16, 8, 8, 4)).eval()


def started(arrays, folder, size=64):
    np.savez(folder / "vit.npz", **arrays)
    made = network(size)
    start_from_vit(made, folder / "vit.npz")
    return made


def normed(x, arrays, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * arrays[f"{name}/scale"] + arrays[f"{name}/bias"]


def encoded(tokens, arrays):
    """The encoder as its paper has it, in numpy and on JAX's arrays."""
    from scipy.special import erf

    x = tokens
    for k in range(DEPTH):
        name = f"Transformer/encoderblock_{k}"
        y = normed(x, arrays, f"{name}/LayerNorm_0")
        attention = f"{name}/MultiHeadDotProductAttention_1"
        q, key, v = (
            np.einsum("sw,whd->shd", y, arrays[f"{attention}/{part}/kernel"]) + arrays[f"{attention}/{part}/bias"]
            for part in ("query", "key", "value")
        )
        scores = np.einsum("shd,thd->hst", q, key) / np.sqrt(WIDTH // HEADS)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("hst,thd->shd", scores / scores.sum(-1, keepdims=True), v)
        x = x + np.einsum("shd,hdw->sw", mixed, arrays[f"{attention}/out/kernel"]) + arrays[f"{attention}/out/bias"]
        y = normed(x, arrays, f"{name}/LayerNorm_2")
        y = y @ arrays[f"{name}/MlpBlock_3/Dense_0/kernel"] + arrays[f"{name}/MlpBlock_3/Dense_0/bias"]
        y = y * (1 + erf(y / np.sqrt(2))) / 2
        x = x + y @ arrays[f"{name}/MlpBlock_3/Dense_1/kernel"] + arrays[f"{name}/MlpBlock_3/Dense_1/bias"]
    return normed(x, arrays, "Transformer/encoder_norm")


def test_the_encoder_computes_what_the_arrays_say(tmp_path):
    arrays = published()
    made = started(arrays, tmp_path)
    tokens = np.random.default_rng(1).normal(size=(16, WIDTH)).astype(np.float32)
    with torch.no_grad():
        found = made.transformer.encoder(torch.from_numpy(tokens)[None])[0].numpy()
    np.testing.assert_allclose(found, encoded(tokens, arrays), atol=2e-4)


def test_filters_lie_as_torch_has_them(tmp_path):
    arrays = published()
    state = started(arrays, tmp_path).state_dict()
    stem = "transformer.embeddings.hybrid_model"
    kernel = arrays["block2/unit1/conv2/kernel"]
    assert state[f"{stem}.body.block2.unit1.conv2.weight"][5, 3, 0, 2] == kernel[0, 2, 3, 5]
    offsets = arrays["block1/unit1/gn_proj/bias"].ravel()
    np.testing.assert_array_equal(state[f"{stem}.body.block1.unit1.gn_proj.bias"], offsets)
    assert state["transformer.embeddings.patch_embeddings.weight"][1, 7, 0, 0] == arrays["embedding/kernel"][0, 0, 7, 1]


def test_positions_are_resampled_and_the_class_token_left_out(tmp_path):
    arrays = published(grid=3)
    positions = arrays["Transformer/posembed_input/pos_embedding"][0, 1:].reshape(3, 3, WIDTH)
    found = started(arrays, tmp_path).state_dict()["transformer.embeddings.position_embeddings"].reshape(4, 4, WIDTH)
    np.testing.assert_allclose(found[::3, ::3], positions[::2, ::2], atol=1e-6)  # corners stay
    np.testing.assert_allclose(found[0, 1], positions[0, 0] / 3 + 2 * positions[0, 1] / 3, atol=1e-6)


def test_a_file_of_something_else_is_refused(tmp_path):
    arrays = published()
    del arrays["block1/unit1/gn2/scale"]
    arrays["surplus"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as error:
        started(arrays, tmp_path)
    assert error.value.code == "bad-checkpoint"
    assert "unit1.gn2.weight" in error.value.message
    assert "surplus" in error.value.message
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(UserError, match="damaged"):
        start_from_vit(network(), tmp_path / "text.npz")
    np.savez(tmp_path / "pickled.npz", embedding=np.array([{}], object))
    with pytest.raises(UserError) as error:
        start_from_vit(network(), tmp_path / "pickled.npz")
    assert error.value.code == "bad-checkpoint"
