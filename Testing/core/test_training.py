import json
import math

import numpy as np
import pytest
from made_slice import made_slice

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from inference_core.image.volume import Volume  # noqa: E402
from inference_core.image.writing import write_volume  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.registry import BUNDLED, find_model  # noqa: E402
from inference_core.training.publish import publish  # noqa: E402
from inference_core.training.recipes.supervised_ct import SupervisedCtConfig, load_scans, train  # noqa: E402


@pytest.fixture
def slices(tmp_path):
    folder = tmp_path / "slices"
    folder.mkdir()
    for patient in ("A", "B"):
        for k in range(2):
            image = made_slice(256, 256, 15, k, k)
            write_volume(Volume(np.rint(image)[None].astype(np.int16)), folder / f"{patient}_sharp_{k}.nrrd")
    return folder


def test_training_learns_is_repeatable_and_becomes_a_model(slices, tmp_path):
    config = SupervisedCtConfig(
        slices, tmp_path / "run" / "w.safetensors", steps=150, batch=2, crop=48, draws=3, width=8, depth=4
    )
    network = train(config)
    record = json.loads((tmp_path / "run" / "w.json").read_text())
    assert record["config"]["steps"] == 150
    assert not math.isnan(record["loss_l1_units"][-1][1])
    again = train(config)
    for one, two in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)

    card = json.loads((BUNDLED / "ct-sharp.json").read_text())
    card["id"], card["architecture"]["arguments"] = "w", {"width": 8, "depth": 4}
    (tmp_path / "w.json").write_text(json.dumps(card))
    publish(tmp_path / "run" / "w.safetensors", tmp_path / "w.json")
    engine = open_engine(find_model(str(tmp_path / "w.json"), "denoise-ct"))
    noise = np.random.default_rng(5).normal(0, 0.6, (1, 1, 64, 64)).astype(np.float32)
    assert (noise + engine.run(noise)).std() < 0.97 * noise.std()
    assert b"site-packages" not in (tmp_path / "w.onnx").read_bytes()


def test_a_left_out_patient_is_not_opened(slices):
    (slices / "B_sharp_0.nrrd").write_bytes(b"not a volume")
    assert len(load_scans(slices, leave_out="B")) == 1
    (slices.parent / "empty").mkdir()
    with pytest.raises(ValueError, match="No slice"):
        load_scans(slices.parent / "empty")
