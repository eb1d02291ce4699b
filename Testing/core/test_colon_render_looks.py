"""What the appearances change and what they must not; the same seed gives the same bytes; no OpenGL is told plainly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from made_ringed_tube import POSES, looking, ringed_tube

from inference_core.errors import UserError
from inference_core.simulation.colon.rendering.appearance import list_appearances, load_appearance
from inference_core.simulation.colon.rendering.camera import endoscope_camera

pytest.importorskip("vtkmodules")
pytest.importorskip("scipy")

from inference_core.simulation.colon.rendering.render import FrameRenderer
from inference_core.simulation.colon.rendering.texture import mucosa_pattern, ripples
from inference_core.simulation.colon.rendering.vessels import grow_vessels

HERE = Path(__file__).parent
CAMERA = endoscope_camera(128)
POSE = POSES[1]


def test_the_three_looks_are_there():
    assert list_appearances() == ["mucosa", "nbi", "plain"]
    for name in list_appearances():
        assert load_appearance(name).name == name


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_appearances_change_the_picture_and_not_its_truth(model):
    camera = endoscope_camera(128, model)
    shown = {}
    for name in list_appearances():
        with FrameRenderer(ringed_tube(), camera, load_appearance(name), texture_seed=5) as renderer:
            shown[name] = renderer.render(POSE, (1, 2))
    plain = shown.pop("plain")
    for frame in shown.values():
        for truth in ("depth", "mask", "instances", "score"):
            assert getattr(frame, truth).tobytes() == getattr(plain, truth).tobytes()
        assert np.abs(frame.rgb.astype(int) - plain.rgb).mean() > 5


def test_a_fold_border_is_at_the_same_pixels_in_plain_and_mucosa():
    """The silhouette of a fold, known from the depth, is where the pictures change: not a pixel beside it."""
    with (
        FrameRenderer(ringed_tube(), CAMERA, load_appearance("plain")) as plain,
        FrameRenderer(ringed_tube(), CAMERA, load_appearance("mucosa")) as mucosa,
    ):
        frame = plain.render(POSE, 0)
        step = np.abs(np.diff(frame.depth, axis=1)) > 5
        inside = load_appearance("mucosa").visible(CAMERA)
        step &= inside[:, 1:] & inside[:, :-1]
        for rgb in (frame.rgb, mucosa.picture(POSE, 0)):
            change = np.abs(np.diff(rgb.mean(axis=2), axis=1))
            at = change[step].mean()
            for shift in (-3, 3):
                assert at > 2 * np.roll(change, shift, axis=1)[step].mean()


def test_octagon_is_black_and_nothing_else_is():
    appearance = load_appearance("mucosa")
    visible = appearance.visible(CAMERA)
    with FrameRenderer(ringed_tube(), CAMERA, appearance) as renderer:
        frame = renderer.render(POSE, 0)
    assert not frame.rgb[~visible].any()
    assert (frame.rgb[visible].max(axis=1) > 0).mean() > 0.99
    assert (frame.depth > 0).all()  # the truth goes on behind the frame
    assert not visible[0, 0]
    assert not visible[-1, 0]
    assert visible[0, 64]
    assert visible[64, 0]
    assert 0.85 < visible.mean() < 0.95
    np.testing.assert_array_equal(visible, visible[::-1, ::-1])
    assert load_appearance("plain").visible(CAMERA).all()


def test_light_falls_off_with_the_distance():
    with FrameRenderer(ringed_tube(folds=()), CAMERA, load_appearance("plain")) as renderer:
        near = renderer.picture(looking((0, 0, 105), (0, 0, 1)), 0)[64, 64].mean()
        far = renderer.picture(looking((0, 0, 60), (0, 0, 1)), 0)[64, 64].mean()
    assert near > 1.5 * far > 0


def test_automatic_exposure_evens_out_near_and_far():
    brightness = []
    with FrameRenderer(ringed_tube(folds=()), CAMERA, load_appearance("mucosa")) as renderer:
        for z in (105, 80, 60):
            rgb = renderer.picture(looking((0, 0, z), (0, 0, 1)), 0)
            brightness.append(rgb[load_appearance("mucosa").visible(CAMERA)].mean())
    assert max(brightness) < 1.3 * min(brightness)


def digests() -> list[str]:
    """Of four frames with all that they hold, made in a process of its own."""
    program = f"""
import hashlib, sys; sys.path.insert(0, {str(HERE)!r})
from test_colon_render_looks import *
for name in list_appearances():
    with FrameRenderer(ringed_tube(), CAMERA, load_appearance(name), texture_seed=3) as renderer:
        for number in (7, 8):
            frame = renderer.render(POSE, (1, number))
            parts = (frame.rgb, frame.depth, frame.mask, frame.instances, frame.score)
            print(hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_same_seed_gives_the_same_bytes_in_two_processes():
    first, second = digests(), digests()
    assert first == second
    assert len(set(first)) == 5  # the frame's seed changes mucosa and nbi; plain has nothing that changes


def test_seeds_change_the_wall_and_the_noise():
    def picture(texture_seed: int, frame_seed: int) -> np.ndarray:
        with FrameRenderer(ringed_tube(), CAMERA, load_appearance("mucosa"), texture_seed) as renderer:
            return renderer.picture(POSE, frame_seed).astype(int)

    base, other_wall, other_noise = picture(0, 0), picture(1, 0), picture(0, 1)
    assert np.abs(base - other_wall).mean() > 2
    assert 0.3 < np.abs(base - other_noise).mean() < 25


def test_wall_pictures_repeat_without_a_seam():
    for picture in (mucosa_pattern(60.0, 2), ripples(2)):
        values = picture.astype(float)
        for axis in (0, 1):
            inner = np.abs(np.diff(values, axis=axis)).mean(axis=(0, 1))
            seam = np.abs(np.take(values, 0, axis) - np.take(values, -1, axis)).mean(axis=0)
            assert (seam < 2 * inner + 0.5).all()


def test_vessels_reach_everywhere_and_thin_out():
    size, spacing = 40.0, 3.0
    places, parents, calibres = grow_vessels(size, spacing, 4, np.random.default_rng(1))
    corners = np.random.default_rng(2).uniform(0, size, (500, 2))
    distance = np.abs(corners[:, np.newaxis] - places)
    distance = np.linalg.norm(np.minimum(distance, size - distance), axis=-1).min(axis=1)
    assert distance.max() < 2.5 * spacing
    assert (calibres[parents] >= calibres).all()
    assert calibres.min() == 1
    assert calibres.max() > 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"wall": {}}, "missing or unknown entries"),
        ({"lens": {"blur": 1}}, "missing or unknown entries"),
        ({"wall.colour": [1, 2]}, "colour must hold 3"),
        ({"wall.shine": "much"}, "much"),
        ({"wall.gamma": -1}, "gamma must hold 1"),
        ({"wall.glitter": 1}, "glitter"),
    ],
)
def test_a_wrong_appearance_file_is_refused_with_the_reason(tmp_path, change, said):
    values = json.loads((files("inference_core.simulation.colon.rendering") / "appearances" / "plain.json").read_text())
    for name, value in change.items():
        part, _, entry = name.partition(".")
        if entry:
            values[part][entry] = value
        else:
            values[part] = value
    path = tmp_path / "look.json"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=said) as refused:
        load_appearance(path)
    assert refused.value.code == "bad-appearance"


def test_an_own_appearance_file_is_drawn(tmp_path):
    values = json.loads((files("inference_core.simulation.colon.rendering") / "appearances" / "plain.json").read_text())
    values["wall"]["colour"] = [0.0, 0.0, 0.9]
    values["wall"]["shine"] = 0
    path = tmp_path / "blue.json"
    path.write_text(json.dumps(values))
    with FrameRenderer(ringed_tube(), CAMERA, load_appearance(path)) as renderer:
        rgb = renderer.picture(POSE, 0)
    assert not rgb[..., :2].any()
    assert rgb[..., 2].mean() > 20


def test_an_unknown_appearance_names_those_that_are_known():
    with pytest.raises(UserError, match="mucosa, nbi, plain"):
        load_appearance("ultraviolet")


@pytest.mark.skipif(sys.platform != "linux", reason="OSMesa is how this is told on Linux")
def test_without_opengl_a_user_is_told_what_to_install():
    """No display, EGL without a driver, no OSMesa: VTK alone would crash the process at the first frame."""
    program = """
import ctypes
from inference_core.errors import UserError
from inference_core.simulation.colon.rendering.offscreen import open_window
try:
    open_window(64, 64)
except UserError as error:
    print(error.code, error)
"""
    hidden = {"VTK_DEFAULT_OPENGL_WINDOW": "vtkOSOpenGLRenderWindow", "DISPLAY": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **hidden}, check=False
    )
    assert done.returncode == 0, done.stderr
    if not done.stdout:
        pytest.skip("OSMesa is installed here")
    assert done.stdout.startswith("no-opengl")
    assert "libegl1 libgl1-mesa-dri" in done.stdout
    assert "libosmesa6" in done.stdout
    assert "WARN" not in done.stderr
