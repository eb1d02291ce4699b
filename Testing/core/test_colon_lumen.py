"""The gas-filled lumen of a made CT, oblique in space, against its truth."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("vtkmodules")
pytest.importorskip("igl")

import igl
from made_gas_ct import gas_ct
from scipy import ndimage

from inference_core import client
from inference_core.cli.points import spell_points
from inference_core.errors import UserError
from inference_core.image.volume import Volume
from inference_core.image.writing import write_volume
from inference_core.simulation.colon.mesh.lumen_of_ct import lumen_of_ct
from inference_core.simulation.colon.mesh.surface_check import checked
from inference_core.simulation.colon.mesh.surface_files import read_surface
from inference_core.simulation.colon.mesh.surface_from_labels import surface_of_mask
from inference_core.simulation.colon.path.centreline import find_centreline
from inference_core.simulation.colon.procedural.haustral_colon import haustral_colon

COMMAND = "from inference_core.cli import main; main()"


@pytest.fixture(scope="module")
def colon():
    return haustral_colon(2, faces=20_000, length=160)


@pytest.fixture(scope="module")
def made(colon):
    return gas_ct(colon)


@pytest.fixture(scope="module")
def ends(colon):
    return find_centreline(colon).points[[5, -6]]


def distances(one, other):
    squares, _, _ = igl.point_mesh_squared_distance(one.vertices, other.vertices, other.faces)
    return np.sqrt(squares)


def voxel_of(made, place):
    return tuple(np.rint(np.linalg.inv(made.volume.index_to_lps) @ [*place, 1.0]).astype(int)[2::-1])


def refused(volume, seeds, threshold=-800.0):
    with pytest.raises(UserError) as error:
        lumen_of_ct(volume, np.array(seeds), threshold)
    assert error.value.remedy
    return error.value


@pytest.mark.parametrize(("threshold", "dice", "off"), [(-800.0, 0.97, 0.6), (-500.0, 0.99, 0.2)])
def test_the_lumen_alone_is_found_where_it_lies(colon, made, ends, threshold, dice, off):
    mask, notes = lumen_of_ct(made.volume, ends, threshold)
    assert not notes
    assert 2 * (mask & made.truth).sum() / (mask.sum() + made.truth.sum()) > dice
    assert not (mask & made.pocket).any()
    assert not (mask & made.room).any()
    volume = made.volume
    surface = surface_of_mask(mask, volume.spacing, volume.origin, volume.direction, 20_000)
    assert distances(surface, colon).mean() < off
    assert distances(colon, surface).mean() < off
    assert checked(surface)[1] == []  # closed, in mm, fit to be filmed


def test_one_seed_is_enough_and_one_in_the_wall_is_moved(made, ends):
    whole, _ = lumen_of_ct(made.volume, ends)
    alone, _ = lumen_of_ct(made.volume, ends[:1])
    np.testing.assert_array_equal(alone, whole)
    away = ndimage.distance_transform_edt(~whole, sampling=made.volume.spacing[::-1])
    wall = np.argwhere((away > 2.5) & (away < 3.5) & ~made.room)[0]
    moved, notes = lumen_of_ct(made.volume, np.array([made.lps(wall), ends[1]]))
    np.testing.assert_array_equal(moved, whole)
    assert len(notes) == 1
    assert "seed 1" in notes[0]
    gap = float(notes[0].split(": ")[1].split()[0])
    assert gap == pytest.approx(away[tuple(wall)], abs=0.1)


def test_a_seed_far_from_gas_or_outside_or_in_the_room_is_refused(made, ends):
    inside = np.argwhere(ndimage.distance_transform_edt(~(made.truth | made.room | made.pocket)) > 8)[0]
    error = refused(made.volume, [ends[0], made.lps(inside)])
    assert error.code == "no-gas"
    assert "seed 2" in error.message
    assert refused(made.volume, [made.lps((10, 2, 2))]).code == "outside-air"
    assert refused(made.volume, [ends[0] + 1000]).code == "outside-volume"


def test_a_lumen_that_opens_to_the_room_is_refused(made, ends):
    at, row, column = voxel_of(made, ends[0])
    opened = made.with_hu((slice(at - 1, at + 2), slice(0, row), slice(column - 1, column + 2)), -1000)
    error = refused(opened, [ends[1]])
    assert error.code == "leak"
    assert "Crop" in error.remedy


def test_a_collapsed_piece_is_told_and_not_bridged(colon, made, ends):
    line = find_centreline(colon)
    middle = voxel_of(made, line.points[len(line.points) // 2])
    places = np.stack(np.meshgrid(*map(np.arange, made.truth.shape), indexing="ij"), -1)
    step = np.array(made.volume.spacing[::-1])
    near = (((places - middle) * step) ** 2).sum(-1) < 38**2
    error = refused(made.with_hu(near & made.truth, 40), ends)
    assert error.code == "cut-off"
    assert "seed 2" in error.message
    assert "ml" in error.message
    part, _ = lumen_of_ct(made.with_hu(near & made.truth, 40), ends[1:])
    assert part[voxel_of(made, ends[1])]
    assert not part[voxel_of(made, ends[0])]


def test_a_cut_off_lumen_is_told(made, ends):
    at = voxel_of(made, ends[0])[0]
    ahead = at < made.truth.shape[0] // 2
    cropped = slice(at, None) if ahead else slice(None, at)
    volume = made.volume
    origin = made.lps((at if ahead else 0, 0, 0))
    piece = Volume(volume.voxels[cropped].copy(), volume.spacing, tuple(origin), volume.direction, modality="CT")
    _, notes = lumen_of_ct(piece, ends[1:])
    assert "cut off" in notes[0]


def test_other_modalities_thresholds_and_seeds_are_refused(made, ends):
    volume = made.volume
    mr = Volume(volume.voxels, volume.spacing, volume.origin, volume.direction, modality="MR")
    assert refused(mr, ends).code == "not-ct"
    assert refused(volume, ends, 40.0).code == "threshold"
    assert refused(volume, np.empty((0, 3))).code == "seeds"


def test_the_worker_and_the_command_write_the_same_surface(colon, made, ends, tmp_path):
    write_volume(made.volume, tmp_path / "ct.nrrd")
    stages = []
    report = client.run(
        {
            "job": "colon-lumen",
            "input": str(tmp_path / "ct.nrrd"),
            "seeds": ends.tolist(),
            "threshold": -800,
            "output": str(tmp_path / "worker.vtp"),
        },
        lambda message: stages.append(message.get("stage")),
    )
    assert {"read", "lumen", "surface", "write"} <= set(stages)
    assert report["warnings"] == []
    truth = made.truth.sum() * made.volume.voxel_volume / 1000
    assert report["volume_ml"] == pytest.approx(truth, rel=0.05)
    seeds = [word for end in ends for word in ("--seed", *(f"{x:.3f}" for x in end))]
    assert any(word.startswith("-") and word[1].isdigit() for word in seeds)  # a minus is no option
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "colon-lumen", "ct.nrrd", "mine.vtp", *seeds],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    assert f"{report['volume_ml']:.0f} ml" in done.stdout
    assert (tmp_path / "mine.vtp").read_bytes() == (tmp_path / "worker.vtp").read_bytes()
    assert distances(read_surface(tmp_path / "mine.vtp"), colon).mean() < 0.6


def test_points_are_typed_as_people_do():
    typed = ["colon-lumen", "ct.nrrd", "--seed", "-1", "2.5", "-3e1", "out.vtp", "--seed=4,5,6", "--threshold", "-700"]
    assert spell_points(typed) == [
        "colon-lumen",
        "ct.nrrd",
        "--seed+=-1,2.5,-3e1",
        "out.vtp",
        "--seed+=4,5,6",
        "--threshold",
        "-700",
    ]
    assert spell_points(["colon-path", "--start", "-1,2,3", "--end=4,5,6"]) == [
        "colon-path",
        "--start=-1,2,3",
        "--end=4,5,6",
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"seeds": [[1, 2]]}, "bad-job"),
        ({"seeds": None}, "bad-job"),
        ({"output": "x.txt"}, "surface-format"),
        ({"other": 1}, "bad-job"),
        ({"input": "none.nrrd"}, "no-such-file"),
    ],
)
def test_a_bad_job_is_refused(change, code, tmp_path):
    job = {"job": "colon-lumen", "input": "none.nrrd", "seeds": [[0, 0, 0]], "output": str(tmp_path / "o.vtp")}
    with pytest.raises(UserError) as error:
        client.run({**job, **change}, lambda message: None)
    assert error.value.code == code
