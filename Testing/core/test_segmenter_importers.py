"""Checkpoints of Endo-FM and of TransUNet, made here in their layout (no real one can be had), start or become ours."""

import pytest

torch = pytest.importorskip("torch")

from inference_core.errors import UserError  # noqa: E402
from inference_core.models.importers.endo_fm import read_endo_fm, start_from_endo_fm  # noqa: E402
from inference_core.models.importers.endofm_transunet import read_endofm_transunet, read_transunet  # noqa: E402
from inference_core.models.networks import build_network  # noqa: E402
from inference_core.models.networks.endofm_transunet import EndofmTransunet  # noqa: E402

WIDTH = 64
SMALL = {"image_size": 48, "width": WIDTH, "depth": 3, "heads": 1, "stem_width": 32, "stem_units": [2, 1, 1],
         "first_width": 16, "decoder_widths": [14, 12, 10, 8]}  # fmt: skip
READERS = {"endofm_transunet": read_endofm_transunet, "transunet": read_transunet}


def drawn(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def endo_fm_state(width=WIDTH, blocks=3, seed=0):
    """As DINO saves a TimeSformer of 8 frames and its projection head."""
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 197, width), "time_embed": (1, 8, width),
              "patch_embed.proj.weight": (width, 3, 16, 16), "patch_embed.proj.bias": (width,),
              "norm.weight": (width,), "norm.bias": (width,)}  # fmt: skip
    for k in range(blocks):
        for part in ("attn", "temporal_attn"):
            shapes[f"blocks.{k}.{part}.qkv.weight"] = (3 * width, width)
            shapes[f"blocks.{k}.{part}.qkv.bias"] = (3 * width,)
            shapes[f"blocks.{k}.{part}.proj.weight"] = (width, width)
            shapes[f"blocks.{k}.{part}.proj.bias"] = (width,)
        for name in ("norm1", "temporal_norm1", "norm2"):
            shapes[f"blocks.{k}.{name}.weight"] = shapes[f"blocks.{k}.{name}.bias"] = (width,)
        shapes |= {
            f"blocks.{k}.temporal_fc.weight": (width, width), f"blocks.{k}.temporal_fc.bias": (width,),
            f"blocks.{k}.mlp.fc1.weight": (4 * width, width), f"blocks.{k}.mlp.fc1.bias": (4 * width,),
            f"blocks.{k}.mlp.fc2.weight": (width, 4 * width), f"blocks.{k}.mlp.fc2.bias": (width,),
        }  # fmt: skip
    named = {f"backbone.{name}": shape for name, shape in shapes.items()}
    return drawn(named | {"head.mlp.0.weight": (8, width), "head.last_layer.weight_v": (4, 8)}, seed)


def saved(folder, content, name="endo_fm.pth"):
    torch.save(content, folder / name)
    return folder / name


def refused(path, read):
    with pytest.raises(UserError) as caught:
        read(path)
    assert caught.value.code == "bad-checkpoint"
    assert path.name in caught.value.message
    assert caught.value.remedy
    return caught.value.message


def fine_tuned_state(network):
    """Keys written out here, and not taken from the network, so that a key of ours that is renamed is noticed."""
    width, stem = SMALL["width"], SMALL["stem_width"]
    shapes = {}

    def convolution(name, out, channels, size, norm=None):
        shapes[f"{name}.weight"] = (out, channels, size, size)
        if norm:
            shapes[f"{norm}.weight"] = shapes[f"{norm}.bias"] = (out,)

    before = "transformer.embeddings."
    convolution(f"{before}hybrid_model.root.conv", stem, 3, 7, f"{before}hybrid_model.root.gn")
    channels = stem
    for block, count in enumerate(SMALL["stem_units"]):
        middle = stem << block
        for unit in range(1, count + 1):
            name = f"{before}hybrid_model.body.block{block + 1}.unit{unit}"
            convolution(f"{name}.conv1", middle, channels, 1, f"{name}.gn1")
            convolution(f"{name}.conv2", middle, middle, 3, f"{name}.gn2")
            convolution(f"{name}.conv3", 4 * middle, middle, 1, f"{name}.gn3")
            if unit == 1:
                convolution(f"{name}.downsample", 4 * middle, channels, 1, f"{name}.gn_proj")
            channels = 4 * middle
    convolution(f"{before}patch_embeddings", width, channels, 1)
    shapes[f"{before}patch_embeddings.bias"] = (width,)
    shapes[f"{before}position_embeddings"] = (1, 9, width)
    if network == "endofm_transunet":
        for key, value in endo_fm_state().items():
            name = key.removeprefix("backbone.")
            if name.startswith("blocks."):
                shapes["transformer.encoder.layer." + name.removeprefix("blocks.")] = value.shape
        shapes["transformer.encoder.cls_token"] = (1, 1, width)
    else:
        for k in range(SMALL["depth"]):
            layers = {"ffn.fc1": (4 * width, width), "ffn.fc2": (width, 4 * width)}
            layers |= {f"attn.{part}": (width, width) for part in ("query", "key", "value", "out")}
            layers |= {"attention_norm": (width,), "ffn_norm": (width,)}
            for name, shape in layers.items():
                shapes[f"transformer.encoder.layer.{k}.{name}.weight"] = shape
                shapes[f"transformer.encoder.layer.{k}.{name}.bias"] = shape[:1]
    shapes["transformer.encoder.encoder_norm.weight"] = shapes["transformer.encoder.encoder_norm.bias"] = (width,)

    counters = {}
    convolutions = {"decoder.conv_more": (SMALL["first_width"], width)}
    wide, skips = SMALL["first_width"], (8 * stem, 4 * stem, stem, 0)
    for k, (out, skip) in enumerate(zip(SMALL["decoder_widths"], skips, strict=True)):
        convolutions[f"decoder.blocks.{k}.conv1"] = (out, wide + skip)
        convolutions[f"decoder.blocks.{k}.conv2"] = (out, out)
        wide = out
    for name, (out, channels) in convolutions.items():
        convolution(f"{name}.0", out, channels, 3, f"{name}.1")
        shapes[f"{name}.1.running_mean"] = shapes[f"{name}.1.running_var"] = (out,)
        counters[f"{name}.1.num_batches_tracked"] = torch.tensor(700)
    convolution("segmentation_head.0", 2, wide, 3)
    shapes["segmentation_head.0.bias"] = (2,)
    state = drawn(shapes) | counters
    return {name: value.abs() if name.endswith("running_var") else value for name, value in state.items()}


@pytest.mark.parametrize("layout", ["teacher alone", "teacher and student", "bare"])
def test_endo_fm_starts_the_encoder(tmp_path, layout):
    teacher = endo_fm_state()
    content = {
        "teacher alone": {"teacher": teacher, "epoch": 30},
        "teacher and student": {"student": endo_fm_state(seed=1), "teacher": teacher, "epoch": 30},
        "bare": teacher,
    }[layout]
    network = EndofmTransunet(**SMALL)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    start_from_endo_fm(network, saved(tmp_path, content))
    after = network.state_dict()
    assert torch.equal(after["transformer.encoder.cls_token"], teacher["backbone.cls_token"])
    given = read_endo_fm(saved(tmp_path, content))
    assert set(given) == {name.removeprefix("transformer.encoder.") for name in after if ".encoder." in name}
    for name, value in teacher.items():
        if name.startswith("backbone.blocks."):
            assert torch.equal(after["transformer.encoder.layer." + name.removeprefix("backbone.blocks.")], value)
    assert torch.equal(after["transformer.encoder.encoder_norm.bias"], teacher["backbone.norm.bias"])
    untouched = [name for name in after if not name.startswith("transformer.encoder.")]
    assert all(torch.equal(after[name], before[name]) for name in untouched)


def test_every_key_of_endo_fm_that_differs_is_named(tmp_path):
    state = endo_fm_state()
    del state["backbone.blocks.1.temporal_fc.bias"]
    state["backbone.blocks.2.norm2.weight"] = torch.zeros(3)
    state["backbone.blocks.0.gate"] = torch.zeros(3)
    message = refused(saved(tmp_path, {"teacher": state}), read_endo_fm)
    for name in ("blocks.1.temporal_fc.bias", "blocks.2.norm2.weight", "blocks.0.gate"):
        assert name in message


def test_endo_fm_of_another_size_does_not_start_a_network(tmp_path):
    path = saved(tmp_path, {"teacher": endo_fm_state(blocks=2)})
    with pytest.raises(UserError, match=r"layer\.2"):
        start_from_endo_fm(EndofmTransunet(**SMALL), path)


@pytest.mark.parametrize("read", [read_endo_fm, read_endofm_transunet, read_transunet])
def test_pickled_objects_are_never_run(tmp_path, read):
    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    refused(saved(tmp_path, {"teacher": endo_fm_state(), "args": Bad()}), read)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("network", READERS)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_fine_tuned_checkpoint_becomes_a_network(tmp_path, network, prefix):
    state = fine_tuned_state(network)
    imported = READERS[network](saved(tmp_path, {prefix + name: value for name, value in state.items()}, "cvc.pth"))
    assert imported.network == network
    assert imported.task == "segment-folds"
    assert {name: imported.arguments[name] for name in SMALL} == SMALL
    made = build_network(imported.network, imported.arguments)
    made.load_state_dict(imported.weights)
    own = made.state_dict()
    assert set(own) == set(state)
    assert all(torch.equal(own[name], value) for name, value in state.items())
    with torch.no_grad():
        assert made.eval()(torch.zeros(1, 3, 48, 48)).shape == (1, 2, 48, 48)


@pytest.mark.parametrize("network", READERS)
def test_every_key_of_a_fine_tuned_checkpoint_that_differs_is_named(tmp_path, network):
    state = fine_tuned_state(network)
    del state["decoder.blocks.2.conv1.1.running_mean"]
    state["transformer.encoder.encoder_norm.bias"] = torch.zeros(5)
    state["transformer.time_embed"] = torch.zeros(5)
    message = refused(saved(tmp_path, state, "cvc.pth"), READERS[network])
    for name in ("blocks.2.conv1.1.running_mean", "encoder_norm.bias", "transformer.time_embed"):
        assert name in message


@pytest.mark.parametrize("network", READERS)
def test_one_network_is_not_taken_for_the_other(tmp_path, network):
    other = next(name for name in READERS if name != network)
    refused(saved(tmp_path, fine_tuned_state(other), "cvc.pth"), READERS[network])


@pytest.mark.parametrize(
    ("name", "shape"),
    [("transformer.embeddings.position_embeddings", (1, 7, 64)), ("transformer.embeddings.position_embeddings", (9,)),
     ("transformer.embeddings.hybrid_model.root.conv.weight", (30, 3, 7, 7))],
)  # fmt: skip
def test_sizes_that_no_network_has_are_refused(tmp_path, name, shape):
    state = fine_tuned_state("transunet")
    state[name] = torch.zeros(shape)
    refused(saved(tmp_path, state, "cvc.pth"), read_transunet)
