"""Full disks, odd names, links and headers that lead elsewhere; the long checks are in Testing/reliability."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_series import stored_ct, write_series

from inference_core.cli import main
from inference_core.errors import UserError
from inference_core.image.reading import read_volume
from inference_core.image.writing import check_folder, check_writable, write_aside, write_volume
from inference_core.measurement.roi_files import read_rois
from inference_core.models.registry import list_models, own_models

posix = pytest.mark.skipif(os.name != "posix", reason="limits, links and names of POSIX")


@contextlib.contextmanager
def files_of_at_most(size: int):
    """No file can grow beyond this: to a program the same as a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def refused(call) -> UserError:
    with pytest.raises(UserError) as caught:
        call()
    assert caught.value.remedy
    return caught.value


@posix
@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz"])
@pytest.mark.parametrize("missing", [1, 1000, 30_000])
def test_a_volume_that_lacks_its_last_bytes_gets_no_name(ct, tmp_path, suffix, missing):
    """ITK says nothing where the last block of a .nrrd or .raw finds no room."""
    write_volume(ct, tmp_path / f"whole{suffix}")
    size = max(file.stat().st_size for file in tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    with files_of_at_most(size - missing):
        error = refused(lambda: write_volume(ct, tmp_path / "out" / f"ct{suffix}"))
    assert error.code == "write-failed"
    assert list((tmp_path / "out").iterdir()) == []
    write_volume(ct, tmp_path / "out" / f"ct{suffix}")
    np.testing.assert_array_equal(read_volume(tmp_path / "out" / f"ct{suffix}").voxels, ct.voxels)


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_header_that_found_no_room_is_not_taken_for_whole(ct, tmp_path, suffix, monkeypatch):
    """The voxels may take the last byte of a disk, and the header stays empty or is cut."""
    import SimpleITK as sitk

    real = sitk.WriteImage
    write_volume(ct, tmp_path / f"whole{suffix}")
    length = (tmp_path / f"whole{suffix}").stat().st_size
    for kept in (0, 1, length // 2, length - 1):

        def write(image, name, kept=kept):
            real(image, name)
            os.truncate(name, kept)

        monkeypatch.setattr(sitk, "WriteImage", write)
        assert refused(lambda: write_volume(ct, tmp_path / f"out{suffix}")).code == "write-failed"
    assert {file.stem for file in tmp_path.iterdir()} == {"whole"}


@posix
def test_a_series_without_room_is_told_in_one_line(tmp_path):
    from made_derived import DERIVATION

    from inference_core.image.dicom_writing import write_series as write_derived

    write_series(tmp_path / "in", stored_ct(3))
    volume = read_volume(tmp_path / "in")
    with files_of_at_most(5000):
        error = refused(
            lambda: write_derived(
                volume,
                volume.voxels,
                tmp_path / "out",
                DERIVATION,
            )
        )
    assert error.code == "write-failed"
    assert "File too large" in error.message
    assert "\n" not in error.message
    assert {file.name for file in tmp_path.iterdir()} == {"in"}


@posix
def test_a_side_file_without_room_is_told_in_words(tmp_path):
    with files_of_at_most(10):
        error = refused(lambda: write_aside(tmp_path / "r.json", lambda path: path.write_text("x" * 100)))
    assert error.code == "write-failed"
    assert "File too large" in error.message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_goes_while_a_file_is_made_is_told_in_words(tmp_path):
    folder = tmp_path / "gone"
    assert refused(lambda: write_aside(folder / "r.json", lambda path: path.write_text("x"))).code == "write-failed"


@posix
def test_names_that_no_disk_takes_are_refused_before_any_work(tmp_path):
    for path in (tmp_path / ("n" * 256), tmp_path / ("ä" * 128), tmp_path / ("n" * 245 + "_comparison.png")):
        assert refused(lambda path=path: check_folder(path)).code == "bad-name"
    (tmp_path / "loop").symlink_to("loop")
    assert refused(lambda: check_folder(tmp_path / "loop" / "out.nrrd")).code == "bad-name"
    assert refused(lambda: check_writable(tmp_path / "first\nsecond.nhdr")).code == "bad-name"
    assert refused(lambda: check_writable(tmp_path / "100%.mhd")).code == "bad-name"
    check_folder(tmp_path / ("n" * 255))
    check_writable(tmp_path / "first\nsecond.nrrd")


@posix
def test_an_output_that_is_a_link_is_refused_and_left(ct, tmp_path):
    write_volume(ct, tmp_path / "mine.nrrd")
    mine = (tmp_path / "mine.nrrd").read_bytes()
    for name, to in (("link.nrrd", "mine.nrrd"), ("dangling.nrrd", "nothing.nrrd"), ("loop.nrrd", "loop.nrrd")):
        (tmp_path / name).symlink_to(to)
        error = refused(lambda name=name: write_volume(ct, tmp_path / name))
        assert error.code == "linked-file"
        assert to in error.message
        assert os.readlink(tmp_path / name) == to
    assert (tmp_path / "mine.nrrd").read_bytes() == mine
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")
    write_volume(ct, tmp_path / "folder" / "out.nrrd")
    assert (tmp_path / "real" / "out.nrrd").is_file()


@posix
def test_inputs_that_lead_nowhere_or_never_end_are_refused(tmp_path):
    (tmp_path / "dangling.nrrd").symlink_to("nothing.nrrd")
    error = refused(lambda: read_volume(tmp_path / "dangling.nrrd"))
    assert error.code == "no-such-file"
    assert "nothing.nrrd" in error.message
    (tmp_path / "loop.nrrd").symlink_to("loop.nrrd")
    os.mkfifo(tmp_path / "pipe.nrrd")
    for name in ("loop.nrrd", "pipe.nrrd", "n" * 300, "null\0.nrrd"):
        assert refused(lambda name=name: read_volume(tmp_path / name)).code == "not-readable"


@posix
def test_a_pipe_in_a_series_is_passed_over(tmp_path):
    write_series(tmp_path / "series", stored_ct(3))
    os.mkfifo(tmp_path / "series" / "pipe")
    assert read_volume(tmp_path / "series").voxels.shape[0] == 3


@posix
def test_a_name_that_is_no_utf8_is_refused_by_name(ct, tmp_path):
    write_volume(ct, tmp_path / "ct.nrrd")
    odd = tmp_path / os.fsdecode(b"ct-\xff.nrrd")
    odd.write_bytes((tmp_path / "ct.nrrd").read_bytes())
    assert refused(lambda: read_volume(odd)).code == "file-name"
    assert refused(lambda: check_writable(odd.with_name(os.fsdecode(b"new-\xff.nrrd")))).code == "file-name"


@posix
def test_the_command_refuses_a_name_that_is_no_utf8(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["denoise", os.fsdecode(b"ct-\xff.nrrd"), "out.nrrd"])
    assert ended.value.code == 2
    assert "UTF-8" in capsys.readouterr().err


def test_tables_and_cards_hold_names_that_are_no_utf8(tmp_path):
    from inference_core.segmenter.frame_sources import Frame
    from inference_core.segmenter.results import FRAMES, Found, Tables
    from inference_core.simulation.colon.dataset.dataset import write_json

    name = b"p\xff.png".decode("utf-8", "surrogateescape")
    tables = Tables(tmp_path)
    tables.add(Frame(0, np.zeros((8, 8, 3), np.uint8), name=name), Found(np.zeros((8, 8), np.int32), {}, ()))
    tables.close()
    assert "p\\udcff.png" in (tmp_path / FRAMES).read_text(encoding="utf-8")
    write_json(tmp_path / "card.json", {"name": name})
    assert json.loads((tmp_path / "card.json").read_text(encoding="utf-8")) == {"name": name}


NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 8 8 4\nencoding: raw\nendian: little\n{}\n\n"
META = "NDims = 3\nDimSize = 8 8 4\nElementType = MET_SHORT\n{}\n"


@pytest.mark.parametrize("place", ["../outside.raw", "/etc/passwd", "a/../../outside.raw", "..\\outside.raw", "C:\\x"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.nhdr", NRRD.format("data file: {}")),
        ("x.nrrd", NRRD.format("DataFile: {}")),
        ("x.nhdr", NRRD.format("data file: {}%d 0 3 1")),
        ("x.nhdr", NRRD.replace("\n\n", "\n").format("data file: LIST\n{}")),
        ("x.mhd", META.format("ElementDataFile = {}")),
        ("x.mha", META.format("ElementDataFile: {}")),
        ("x.mhd", META.format("ElementDataFile = LIST\n{}")),
    ],
)
def test_a_header_that_leads_out_of_its_folder_is_not_followed(ct, tmp_path, name, text, place):
    (tmp_path / "given").mkdir()
    (tmp_path / "outside.raw").write_bytes(b"\1\0" * 256)
    file = tmp_path / "given" / name
    file.write_text(text.format(place))
    assert refused(lambda: read_volume(file)).code == "data-file-elsewhere"
    assert refused(lambda: read_rois(file, ct)).code == "data-file-elsewhere"


def test_voxels_in_a_folder_below_are_read(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "x.raw").write_bytes(b"\1\0" * 256)
    (tmp_path / "x.nhdr").write_text(NRRD.format("data file: parts/x.raw"))
    assert read_volume(tmp_path / "x.nhdr").voxels.max() == 1


@posix
def test_who_has_no_home_has_no_models_of_their_own(monkeypatch):
    monkeypatch.delenv("FAITHFUL_IMAGING_MODELS")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert "low-dose-ct" in [card.id for card in list_models()]
    assert refused(own_models).code == "no-home"


@posix
def test_a_terminal_that_knows_ascii_only_ends_no_run(tmp_path):
    code = "from inference_core.cli import main; main(['models'])"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
