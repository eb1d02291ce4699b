from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from made_slice import made_slice

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from inference_core.errors import UserError  # noqa: E402
from inference_core.simulation.projection import WATER_ATTENUATION  # noqa: E402
from inference_core.training.checkpoint import (  # noqa: E402
    newest_checkpoint,
    read_state,
    step_of,
    write_checkpoint,
    write_state,
)
from inference_core.training.ct_folders import Scan, patient_of, read_scan, scan_of, scan_paths  # noqa: E402
from inference_core.training.ct_publish import reach  # noqa: E402
from inference_core.training.ct_samples import NoiseConfig, batch, inserted, make_sample  # noqa: E402
from inference_core.training.image_pool import ImagePool  # noqa: E402
from inference_core.training.loop import RunConfig, Task, fit, update, warm_up_and_cosine  # noqa: E402
from inference_core.training.weight_average import WeightAverage  # noqa: E402

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_a_state_comes_back_as_it_was(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("state") / "state.safetensors"
    write_state(path, value)
    assert read_state(path) == value


def test_an_optimisers_state_comes_back(tmp_path):
    network = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    write_state(tmp_path / "s", optimiser.state_dict())
    other = torch.optim.Adam(network.parameters(), 5e-2)
    other.load_state_dict(read_state(tmp_path / "s"))
    assert str(other.state_dict()) == str(optimiser.state_dict())


def test_no_pickle_is_written(tmp_path):
    with pytest.raises(TypeError, match="tensors, numbers"):
        write_state(tmp_path / "s", {"f": print})


def test_a_half_written_checkpoint_is_not_taken(tmp_path):
    write_checkpoint(tmp_path, 5, {"a": torch.ones(2)}, {})
    (tmp_path / "checkpoints" / "step-00000009.partial").mkdir()
    assert step_of(newest_checkpoint(tmp_path)) == 5
    for step in (6, 7, 8):
        write_checkpoint(tmp_path, step, {}, {})
    kept = [p.name for p in sorted((tmp_path / "checkpoints").iterdir()) if p.suffix != ".partial"]
    assert kept == ["step-00000007", "step-00000008"]


def test_average_of_constant_weights_is_those_weights_and_gives_way():
    network = nn.Linear(2, 2)
    average = WeightAverage(network, 0.9)
    for _ in range(5):
        average.update(network)
    start = network.weight.detach().clone()
    torch.testing.assert_close(average.weights["weight"], start)
    with torch.no_grad():
        network.weight += 1
    average.update(network)
    assert 0 < (average.weights["weight"] - start).mean() < 1
    with average.in_place_of(network):
        assert not network.training
        assert (network.weight < start + 1).all()
    torch.testing.assert_close(network.weight, start + 1)


def test_the_pool_fills_then_gives_older_images():
    pool, rng = ImagePool(3), np.random.default_rng(0)
    images = torch.arange(40.0).reshape(40, 1, 1, 1)
    given = [float(pool.exchange(image[None], rng)) for image in images]
    assert given[:3] == [0, 1, 2]
    older = [k for k in range(3, 40) if given[k] != k]
    assert 8 < len(older) < 30
    assert all(given[k] < k for k in older)
    assert len(set(given) | {float(x) for x in pool.images}) == 40  # none is lost
    assert ImagePool(0).exchange(images, rng).equal(images)


@dataclass(frozen=True, kw_only=True)
class ToyConfig(RunConfig):
    fail_at: int = 0


def adversarial(config, fabric):
    """A toy of what adversarial recipes do: two networks, two optimisers, a pool."""
    networks = {"maker": nn.Linear(4, 4), "judge": nn.Linear(4, 1)}
    parts = {name: fabric.setup(n, torch.optim.Adam(n.parameters(), 1e-2)) for name, n in networks.items()}
    pool, steps = ImagePool(4), [0]

    def step(rng):
        steps[0] += 1
        if steps[0] == config.fail_at:
            raise RuntimeError("power cut")
        (maker, make), (judge, decide) = parts["maker"], parts["judge"]
        fake = maker(torch.randn(2, 4))
        fooled = ((judge(fake) - 1) ** 2).mean()
        update(fabric, fooled, 1.0, (maker, make))
        old = pool.exchange(fake.reshape(2, 1, 2, 2), rng).reshape(2, 4)
        seen = (judge(old) ** 2 + (judge(torch.ones(2, 4)) - 1) ** 2).mean()
        update(fabric, seen, 1.0, (judge, decide))
        return {"fooled": fooled, "seen": seen}

    return Task(
        networks={name: network for name, (network, _) in parts.items()},
        optimisers={name: optimiser for name, (_, optimiser) in parts.items()},
        schedules={name: warm_up_and_cosine(optimiser, config.steps) for name, (_, optimiser) in parts.items()},
        step=step,
        publish=lambda folder: write_state(folder / "end", {n: x.state_dict() for n, (x, _) in parts.items()}),
        own={"pool": pool},
    )


def test_two_optimisers_and_a_pool_resume_to_the_bit(tmp_path):
    def config(name, **more):
        return ToyConfig(out=tmp_path / name, steps=40, checkpoint_every=10, log_every=1, accelerator="cpu", **more)

    fit(config("whole"), "toy", adversarial)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(config("cut", fail_at=27), "toy", adversarial)
    assert step_of(newest_checkpoint(tmp_path / "cut")) == 20
    # The file says fail_at=27; a real crash is in no configuration.
    text = (tmp_path / "cut" / "config.yaml").read_text().replace("fail_at: 27", "fail_at: 0")
    (tmp_path / "cut" / "config.yaml").write_text(text)
    fit(config("cut"), "toy", adversarial)
    whole, resumed = ((tmp_path / name / "end").read_bytes() for name in ("whole", "cut"))
    assert whole == resumed
    logs = [
        [line.split('"fooled"')[1] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    assert logs[0] == logs[1]


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    def hopeless(config, fabric):
        task = adversarial(config, fabric)
        task.step = lambda rng: {"fooled": torch.tensor(float("nan"))}
        return task

    with pytest.raises(UserError) as error:
        fit(ToyConfig(out=tmp_path / "run", steps=3, log_every=1, accelerator="cpu"), "toy", hopeless)
    assert error.value.code == "diverged"
    assert newest_checkpoint(tmp_path / "run") is None
    assert not (tmp_path / "run" / "running").exists()


def test_patients_and_scans_come_from_names(tmp_path):
    (tmp_path / "P1_series").mkdir()
    assert patient_of(Path("L096_D45f_0021.IMA")) == "L096"
    assert scan_of(Path("L096_D45f_0021.IMA")) == "L096_D45f"
    assert patient_of(Path("case7.nii.gz")) == scan_of(Path("case7.nii.gz")) == "case7"
    assert patient_of(tmp_path / "P1_series") == "P1"
    assert scan_of(tmp_path / "P1_series") == "P1_series"


@pytest.mark.parametrize(
    ("unit", "stored"),
    [
        ("HU", lambda hu: hu),
        ("HU+1024", lambda hu: hu + 1024),
        ("1/mm", lambda hu: (1 + hu / 1000) * WATER_ATTENUATION),
    ],
)
def test_numpy_arrays_need_their_unit_and_come_out_in_hounsfield(tmp_path, unit, stored):
    hu = made_slice(64, 64, 20, 0, 0)
    np.save(tmp_path / "P_1.npy", stored(hu.astype(np.float64)))
    scan = read_scan(tmp_path / "P_1.npy", unit, 0.7)
    np.testing.assert_allclose(scan.slices[0], hu, atol=0.01)
    with pytest.raises(UserError, match="does not say") as error:
        read_scan(tmp_path / "P_1.npy")
    assert "npy_unit" in error.value.remedy


def test_numbers_that_are_no_hounsfield_units_are_refused(tmp_path):
    np.save(tmp_path / "P_1.npy", np.random.default_rng(0).random((64, 64)))
    with pytest.raises(UserError) as error:
        read_scan(tmp_path / "P_1.npy", "HU", 0.7)
    assert error.value.code == "not-hounsfield"
    np.save(tmp_path / "P_2.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError) as error:
        read_scan(tmp_path / "P_2.npy", "HU", 0.7)
    assert error.value.code == "unreadable-file"


def test_a_folder_without_scans_is_refused(tmp_path):
    for folder, code in ((tmp_path, "no-scans"), (tmp_path / "no", "no-such-folder")):
        with pytest.raises(UserError) as error:
            scan_paths(folder)
        assert error.value.code == code


def _scan():
    return Scan("A", "A_1", [made_slice(256, 256, 15, 0, k).astype(np.float32) for k in range(2)], 0.7)


def test_inserted_noise_has_the_strength_that_is_asked_for():
    config = NoiseConfig(strength=(2.0, 2.0), strong_share=0.0, blur=(0.01, 0.01), half_size_share=0.0)
    samples = inserted([_scan()], 4, config, 6, "db3", np.random.default_rng(0))
    assert len(samples) == 4
    assert all(20 < sample.noise < 45 for sample in samples)  # twice the slice's 15 HU
    half = inserted([_scan()], 2, NoiseConfig(half_size_share=1.0), 6, "db3", np.random.default_rng(0))
    assert all(sample.planes.shape == (2, 128, 128) for sample in half)


def test_a_crop_holds_what_leads_from_the_noisy_to_the_clean_slice():
    clean = made_slice(64, 64, 0, 0, 0)
    noisy = clean + np.random.default_rng(0).normal(0, 30, clean.shape).astype(np.float32)
    sample = make_sample(noisy, clean, 6, "db3")
    high, change, noise = batch([([sample], 1.0)], 3, 64, np.random.default_rng(1))
    assert high.shape == change.shape == (3, 1, 64, 64)
    assert 20 < float(noise[0]) < 40
    # low + (high + change) is the clean slice, but for the low band of the noise
    assert float((high + change).std()) < float(high.std())
    assert float(change.std()) == pytest.approx(30, rel=0.1)


def test_reach_of_a_network_is_exact():
    assert reach({"name": "unshuffle_cnn", "arguments": {"width": 4, "depth": 8}}) == 16
    assert reach({"name": "unshuffle_unet", "arguments": {"width": 4, "low_width": 4}}) == 30
