"""A volume is written while it is still measured, and is there only when that went well."""

import numpy as np
import pytest

from inference_core.errors import Cancelled, UserError
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume
from inference_core.image.writing import written_early

VOLUME = Volume(np.arange(3 * 16 * 16, dtype=np.int16).reshape(3, 16, 16))


def test_it_is_there_when_it_is_finished_and_not_before(tmp_path):
    with written_early(VOLUME, tmp_path / "out.nrrd") as finish:
        assert not (tmp_path / "out.nrrd").exists()
        finish()
        assert (tmp_path / "out.nrrd").exists()
    np.testing.assert_array_equal(read_volume(tmp_path / "out.nrrd").voxels, VOLUME.voxels)
    assert [path.name for path in tmp_path.iterdir()] == ["out.nrrd"]


def test_what_goes_wrong_meanwhile_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), written_early(VOLUME, tmp_path / "out.nrrd"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_what_the_writer_could_not_is_told_when_it_is_finished(tmp_path):
    with pytest.raises(UserError) as error, written_early(VOLUME, tmp_path / "none" / "out.nrrd") as finish:
        finish()
    assert error.value.code == "no-such-folder"
    with pytest.raises(Cancelled), written_early(VOLUME, tmp_path / "out.nrrd", lambda: False) as finish:
        finish()
    assert not list(tmp_path.iterdir())
