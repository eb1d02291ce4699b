"""The methods that the paper compares with, trained for a few steps by the command that a person gives."""

import math

import numpy as np
import pytest
from made_slice import made_slice

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")

from inference_core.cli import main  # noqa: E402
from inference_core.cli.train import train as command_train  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.image.reading import read_volume  # noqa: E402
from inference_core.image.volume import Volume  # noqa: E402
from inference_core.image.writing import write_volume  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402
from inference_core.training.checkpoint import checkpoints, newest_checkpoint, read_state  # noqa: E402
from inference_core.training.losses.gradient_penalty import GradientPenalty, gradient_penalty  # noqa: E402
from inference_core.training.losses.total_variation import TotalVariation, total_variation  # noqa: E402
from inference_core.training.run_record import read_log  # noqa: E402

SMALL = {
    "cyclegan_ct": ["width=4", "blocks=1", "discriminator_width=4", "pool=3"],
    "wavcyclegan": ["width=4", "blocks=1", "discriminator_width=4", "pool=3"],
    "gan_circle": ["critic_width=4", "pool=3"],
    "cycle_free": ["width=4", "blocks=1", "discriminator_width=4"],
}
CROPS = ["batch=2", "crop=32", "log_every=1"]


@pytest.fixture(scope="module")
def doses(tmp_path_factory):
    """One slice each of three made patients at both doses."""
    folder = tmp_path_factory.mktemp("doses")
    for k, patient in enumerate("ABC"):
        for dose, noise in (("low", 60), ("full", 15)):
            (folder / dose).mkdir(exist_ok=True)
            image = made_slice(72, 64, noise, 2 * k + (dose == "low"), k)
            write_volume(Volume(np.rint(image)[None].astype(np.int16)), folder / dose / f"{patient}_1.nrrd")
    return folder


def arguments(doses, name, run, *settings):
    data = [f"low_dose=[{doses / 'low'}]", f"full_dose=[{doses / 'full'}]", f"out={run}"]
    return ["denoiser", "--config", name, *data, *SMALL[name], *CROPS, *settings]


def train(doses, name, run, *settings):
    main(["train", *arguments(doses, name, run, *settings)])


@pytest.mark.parametrize("name", SMALL)
def test_a_run_becomes_a_model_that_denoises(doses, tmp_path, name):
    run = tmp_path / "run"
    train(doses, name, run, "steps=2", "checkpoint_every=1", "split.validation=[C]")
    log = read_log(run)
    losses = [line for line in log if "adversarial" in line]
    assert [line["step"] for line in losses] == [1, 2]
    assert all(math.isfinite(value) for line in losses for value in line.values())
    assert any("psnr_gain" in line for line in log)
    one, two = (read_state(path / "shared.safetensors")["networks"] for path in checkpoints(run)[::-1])
    for part in one:
        learned = [key for key, value in one[part].items() if not torch.equal(value, two[part][key])]
        assert len(learned) > 2, f"{part} stands still"
    card = find_model(str(run / "model.json"), "denoise-ct")
    assert card.output == "image"
    assert card.kept_levels == ()
    assert card.band == ("high" if name in ("wavcyclegan", "cycle_free") else "whole")
    source, result = doses / "low" / "C_1.nrrd", tmp_path / "out.nrrd"
    main(["denoise", str(source), str(result), "--model", str(run / "model.json")])
    before, after = read_volume(source), read_volume(result)
    assert after.voxels.shape == before.voxels.shape
    assert (after.voxels != before.voxels).any()


def stopped_after(steps, monkeypatch):
    """A power cut after so many steps of the generators."""
    from inference_core.training.recipes import cycle_gan_ct

    own, seen = cycle_gan_ct.draw_crops, []

    def draw(*given):
        seen.append(1)
        if len(seen) > steps:
            raise KeyboardInterrupt
        return own(*given)

    monkeypatch.setattr(cycle_gan_ct, "draw_crops", draw)


def test_stopped_and_resumed_equals_uninterrupted_to_the_bit(doses, tmp_path, monkeypatch):
    settings = ("steps=6", "checkpoint_every=2", "epochs=6")  # the pools are full after two steps
    train(doses, "cyclegan_ct", tmp_path / "whole", *settings)
    with monkeypatch.context() as patch:
        stopped_after(5, patch)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(doses, "cyclegan_ct", tmp_path / "cut", *settings)
    assert newest_checkpoint(tmp_path / "cut").name == "step-00000004"
    assert not (tmp_path / "cut" / "model.json").exists()
    train(doses, "cyclegan_ct", tmp_path / "cut", *settings)
    one, other = ((tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "cut"))
    assert one == other
    logs = [[{**line, "cpu_s": 0} for line in read_log(tmp_path / run)] for run in ("whole", "cut")]
    assert logs[0] == logs[1]
    pools = read_state(newest_checkpoint(tmp_path / "cut") / "process-0.safetensors")
    assert [len(pool["images"]) for pool in pools.values()] == [3, 3]


@pytest.mark.parametrize(
    ("name", "setting", "code"),
    [
        ("cyclegan_ct", "input.output=residual", "out-of-range"),
        ("cyclegan_ct", "crop=16", "crop"),
        ("cyclegan_ct", "blocks=0", "not-positive"),
        ("cyclegan_ct", "weight_cycle=-1", "out-of-range"),
        ("cyclegan_ct", "weight_cycle=.inf", "out-of-range"),
        ("gan_circle", "pool=-1", "out-of-range"),
        ("gan_circle", "critic_width=0", "not-positive"),
        ("cycle_free", "input.band=whole", "out-of-range"),
        ("cycle_free", "weight_unchanged=-1", "out-of-range"),
    ],
)
def test_mistakes_end_with_the_remedy(doses, tmp_path, name, setting, code):
    with pytest.raises(UserError) as error:
        command_train(arguments(doses, name, tmp_path / "run", "steps=2", setting))
    assert error.value.code == code


def test_the_penalty_is_0_for_a_critic_of_slope_1_and_4_for_one_of_slope_3():
    real, fake = torch.randn(2, 5, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    direction = torch.full((1, 1, 4, 4), 0.25, dtype=torch.float64)  # of length 1

    def critic(slope):
        return lambda x: slope * (x * direction).sum(dim=(1, 2, 3)) + 7

    assert gradient_penalty(critic(1), real, fake).item() == pytest.approx(0, abs=1e-9)
    assert gradient_penalty(critic(3), real, fake).item() == pytest.approx(4)
    assert GradientPenalty()(critic(3), real, fake).item() == pytest.approx(4)
    assert gradient_penalty(lambda x: 0 * x.sum(dim=(1, 2, 3)), real, fake).isfinite()


def test_the_penalty_can_be_learned_from():
    weight = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64, requires_grad=True)
    real, fake = torch.randn(2, 3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def penalty(values):
        torch.manual_seed(0)  # the same places each time
        return gradient_penalty(lambda x: (x.flatten(1) * values).square().sum(dim=1), real, fake)

    assert torch.autograd.gradcheck(penalty, (weight,))


def test_total_variation_is_the_sum_of_neighbours_differences_a_pixel():
    image = torch.tensor([[0.0, 1.0], [3.0, 5.0]], dtype=torch.float64)[None, None]
    assert total_variation(image).item() == (3 + 4 + 1 + 2) / 4
    assert TotalVariation()(torch.cat([image, image])).item() == (3 + 4 + 1 + 2) / 4
    smooth = torch.randn(2, 1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(total_variation, (smooth.requires_grad_(),))


def test_learning_rates_fall_as_in_the_sources():
    from inference_core.training.recipes import cycle_free_ct, gan_circle_ct

    def rates(schedule, config):
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        made, seen = schedule(optimiser, config), []
        for _ in range(config.steps):
            seen.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            made.step()
        return seen

    circle = rates(gan_circle_ct._two_thirds, gan_circle_ct.GanCircleCtConfig(out=None, steps=300))
    assert circle[:202] == [1.0] * 202  # 100 of 150 epochs of 2 steps, and the one that starts the fall
    assert circle[250] == pytest.approx(0.5)
    assert circle[299] == pytest.approx(0.02)
    free = rates(cycle_free_ct._halving, cycle_free_ct.CycleFreeCtConfig(out=None, steps=9))
    assert free == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
