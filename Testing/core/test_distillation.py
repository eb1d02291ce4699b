"""A small network learns from a trained one."""

import numpy as np
import pytest
from made_slice import made_slice

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("lightning_fabric")

from inference_core.cli import main  # noqa: E402
from inference_core.cli.train import train as command_train  # noqa: E402
from inference_core.denoiser.pipeline import denoise_volume  # noqa: E402
from inference_core.errors import UserError  # noqa: E402
from inference_core.image.volume import Volume  # noqa: E402
from inference_core.image.writing import write_volume  # noqa: E402
from inference_core.models.engines import open_engine  # noqa: E402
from inference_core.models.registry import find_model  # noqa: E402

SMALL = ["noisy_slices=6", "precision=32-true", "log_every=5"]
LEARNING = ["steps=300", "batch=4", "crop=48", "width=16", "low_width=16", "learning_rate=0.003", "average_decay=0.95"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for k, patient in enumerate("AB"):
        write_volume(
            Volume(np.rint(made_slice(256, 256, 15, k, k))[None].astype(np.int16)), folder / f"{patient}_0.nrrd"
        )
    return folder


def test_the_small_network_comes_to_answer_as_its_teacher(scans, tmp_path):
    run = tmp_path / "small"
    settings = [f"full_dose=[{scans}]", f"out={run}", *SMALL, *LEARNING, "teacher=low-dose-ct"]
    main(["train", "denoiser", "--config", "distilled_ct", *settings])
    noisy = Volume(np.rint(made_slice(256, 256, 40, 0, 9))[None].astype(np.int16))
    student, teacher = find_model(str(run / "model.json"), "denoise-ct"), find_model("low-dose-ct", "denoise-ct")
    by_student, by_teacher = (denoise_volume(noisy, card, open_engine(card))[0].voxels for card in (student, teacher))
    apart = np.abs(by_student.astype(float) - by_teacher).mean()
    assert apart < 0.6 * np.abs(noisy.voxels.astype(float) - by_teacher).mean()
    assert "targets made by the model low-dose-ct" in student.text["training_data"]


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("teacher=no-such", "no-such-model"),
        ("teacher=low-dose-ct-phantom", "other-input"),  # its wavelet is another
        ("teacher=colon-folds", "wrong-task"),
        ("input.unit_hu=50", "other-input"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_before_data_are_read(tmp_path, setting, code):
    settings = [f"full_dose=[{tmp_path / 'none'}]", f"out={tmp_path / 'run'}", *SMALL, setting]
    with pytest.raises(UserError) as error:
        command_train(["denoiser", "--config", "distilled_ct", *settings])
    assert error.value.code == code
