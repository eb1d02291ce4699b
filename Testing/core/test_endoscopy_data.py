"""Crops that labels follow, and folders of real frames with all that lies in them."""

import numpy as np
import pytest
from made_frames import made_real, made_scene, write_dataset, write_real
from PIL import Image, ImageDraw

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from inference_core.errors import UserError  # noqa: E402
from inference_core.image.visible_area import text_area, visible_area  # noqa: E402
from inference_core.training.endoscopy_data import RealFrames, SimulatedFrames, held_out, vary_look  # noqa: E402
from inference_core.training.frame_crops import (  # noqa: E402
    Crop,
    CropConfig,
    check_crops,
    cut,
    draw_real,
    draw_simulated,
)

CROPS = CropConfig(size=32)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 90), st.integers(40, 90))
def test_a_frame_and_its_labels_are_cut_alike(seed, rows, columns):
    crop = draw_simulated((rows, columns), CropConfig(size=64, simulated_share=(0.5, 1.0)), np.random.default_rng(seed))
    ramp = np.add.outer(np.arange(rows), np.arange(columns)).astype(np.uint8)
    rgb = np.repeat(ramp[..., None], 3, axis=2)
    smooth, nearest = cut(rgb, crop, smooth=True), cut(ramp.astype(np.float32), crop, smooth=False)
    assert smooth.shape == (64, 64, 3)
    # On a ramp the two differ by less than the pixel that nearest may be off in each direction.
    assert np.abs(smooth[..., 0] - nearest).max() <= 2
    ids = cut(np.arange(rows * columns, dtype=np.int32).reshape(rows, columns), crop, smooth=False)
    np.testing.assert_array_equal(ids // columns + ids % columns, nearest)
    assert ids.dtype == np.int32


def test_nothing_is_invented_in_labels():
    depth = np.where(np.random.default_rng(0).random((50, 60)) < 0.5, 0, 30).astype(np.float32)
    for turns in range(4):
        assert set(np.unique(cut(depth, Crop(3, 4, 41, 64, True, turns), smooth=False))) == {0.0, 30.0}


def test_flips_and_turns_are_what_they_say():
    image = np.arange(16, dtype=np.int32).reshape(4, 4)
    np.testing.assert_array_equal(cut(image, Crop(0, 0, 4, 4), smooth=False), image)
    np.testing.assert_array_equal(cut(image, Crop(0, 0, 4, 4, flipped=True), smooth=False), image[:, ::-1])
    np.testing.assert_array_equal(cut(image, Crop(0, 0, 4, 4, turns=1), smooth=False), np.rot90(image))
    np.testing.assert_array_equal(cut(image, Crop(1, 2, 2, 2), smooth=False), image[1:3, 2:4])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_crops_of_real_frames_show_the_patient(seed):
    rng = np.random.default_rng(seed)
    visible = visible_area(made_real(96, seed))
    crop = draw_real(visible, CropConfig(size=32, real_share=(0.3, 0.9), least_visible=0.97), rng)
    shown = visible[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side]
    assert shown.shape == (crop.side, crop.side)
    assert shown.mean() >= 0.97


def test_a_frame_without_room_gives_no_crop():
    visible = np.zeros((64, 64), bool)
    visible[:20, :20] = True
    assert draw_real(visible, CropConfig(size=32, real_share=(0.5, 0.9)), np.random.default_rng(0)) is None


def test_black_around_the_octagon_and_boxes_are_not_the_patient():
    size = 160
    rows, columns = np.abs(np.mgrid[:size, :size] - (size - 1) / 2)
    octagon = rows + columns < 0.72 * size
    octagon[110:, :50] = False  # an overlay's box
    rgb = np.where(octagon[..., None], made_real(size, 0) | 30, 0).astype(np.uint8)
    rgb[130:140, 10:30] = 200  # letters in the black box
    rgb[75:85, 75:85] = 5  # a dark lumen in the middle is the patient
    rgb = np.clip(rgb + np.random.default_rng(0).integers(0, 6, rgb.shape), 0, 255).astype(np.uint8)
    visible = visible_area(rgb)
    assert not (visible & ~octagon).any()
    assert (octagon & ~visible).mean() < 0.05
    assert visible[75:85, 75:85].all()


def test_text_that_stays_is_found_and_highlights_that_move_are_not():
    rng = np.random.default_rng(0)
    frames = []
    for k in range(24):
        image = Image.fromarray((made_scene(200, k)[0] * 0.7).astype(np.uint8))
        draw = ImageDraw.Draw(image)
        draw.text((8, 90), f"2{k:02d}/11 Dr X", fill=(240, 240, 240))
        for x, y in rng.integers(10, 190, (6, 2)):
            draw.ellipse((x, y, x + 2, y + 2), fill=(255, 250, 250))
        frames.append(np.asarray(image))
    text = text_area(frames)
    assert text[92:98, 10:60].mean() > 0.8
    text[80:112, :90] = False
    assert text.mean() < 0.01
    assert text_area(frames[:5]) is None


def test_a_dataset_is_drawn_from_with_its_depth(tmp_path):
    write_dataset(tmp_path / "a", border=6)
    write_dataset(tmp_path / "b", split="validation", seed=1)
    frames = SimulatedFrames(tmp_path, "train", CROPS)
    assert len(frames) == 4
    batch = frames.draw(3, np.random.default_rng(0))
    again = frames.draw(3, np.random.default_rng(0))
    assert batch.rgb.shape == (3, 3, 32, 32)
    assert batch.depth.shape == batch.known.shape == (3, 1, 32, 32)
    assert torch.equal(batch.rgb, again.rgb)
    assert torch.equal(batch.depth, again.depth)
    assert batch.depth.max() > 20  # mm
    black = batch.rgb.amax(dim=1, keepdim=True) == 0
    assert black.any()
    assert not (black & batch.known).any()  # what the black frame hides teaches no depth
    bright = batch.rgb.mean(dim=1, keepdim=True)[batch.known]
    assert np.corrcoef(bright.log(), batch.depth[batch.known].log())[0, 1] < -0.7  # still pixel on pixel
    assert len(held_out(tmp_path, CROPS)) == 4
    write_dataset(tmp_path / "b", split="train", seed=1)
    assert held_out(tmp_path, CROPS) is None


def test_looks_vary_and_shapes_stay():
    frames = torch.from_numpy(np.stack([made_scene(64, 0)[0]] * 3)).permute(0, 3, 1, 2).float() / 255
    varied = vary_look(frames, np.random.default_rng(0))
    assert varied.min() >= 0
    assert varied.max() <= 1
    assert (varied[0].mean() - varied[1].mean()).abs() > 0.01
    assert torch.equal(varied, vary_look(frames, np.random.default_rng(0)))
    assert np.corrcoef(varied[0].mean(0).ravel(), frames[0].mean(0).ravel())[0, 1] > 0.9


def test_real_frames_are_read_whatever_their_format(tmp_path):
    folder = write_real(tmp_path / "real", frames=4)
    Image.fromarray(made_real(80, 7)).save(folder / "other.jpg", quality=95)
    Image.fromarray(made_real(64, 8)).convert("RGBA").save(folder / "alpha.png")
    (folder / "notes.txt").write_text("not a frame")
    (folder / ".hidden.png").write_bytes(b"")
    frames = RealFrames(folder, CROPS)
    assert len(frames) == 6
    crops = frames.draw(8, np.random.default_rng(0))
    assert crops.shape == (8, 3, 32, 32)
    assert (crops.amax(dim=1) > 0.1).float().mean() > 0.98  # no black octagon
    dark = Image.new("RGB", (64, 64), (0, 0, 0))
    dark.paste((200, 80, 60), (0, 0, 12, 12))
    dark.save(folder / "dark.png")
    assert [path.name for path in RealFrames(folder, CROPS).left_out] == ["dark.png"]


def test_a_simulated_look_may_stand_for_the_real_one(tmp_path):
    write_dataset(tmp_path / "a")
    write_dataset(tmp_path / "b", seed=1)
    write_dataset(tmp_path / "c", split="test", seed=2)
    frames = RealFrames(tmp_path, CROPS)
    assert len(frames) == 8
    assert {path.relative_to(tmp_path).parts[:2] for path in frames.paths} == {("a", "rgb"), ("b", "rgb")}


def truncated(folder):
    path = folder / "frame-0.png"
    path.write_bytes(path.read_bytes()[:300])


def emptied(folder):
    for path in sorted(folder.iterdir())[3:]:
        path.unlink()


def grey(folder):
    Image.open(folder / "frame-1.png").convert("L").save(folder / "frame-1.png")


def grey_as_rgb(folder):
    Image.open(folder / "frame-1.png").convert("L").convert("RGB").save(folder / "frame-1.png")


def shrunk(folder):
    Image.open(folder / "frame-2.png").resize((24, 60)).save(folder / "frame-2.png")


def all_border(folder):
    for path in folder.iterdir():
        image = Image.new("RGB", (64, 64), (0, 0, 0))
        image.paste((200, 80, 60), (0, 0, 12, 12))
        image.save(path)


@pytest.mark.parametrize(
    ("spoil", "code", "named"),
    [
        (truncated, "bad-frame", "frame-0.png"),
        (emptied, "few-frames", "3 pictures"),
        (grey, "grey-frame", "frame-1.png"),
        (grey_as_rgb, "grey-frame", "frame-1.png"),
        (shrunk, "small-frame", "24 x 60"),
        (all_border, "border", "0 frames"),
    ],
)
def test_a_folder_that_cannot_be_learned_from_is_refused_with_the_remedy(tmp_path, spoil, code, named):
    folder = write_real(tmp_path / "real")
    spoil(folder)
    with pytest.raises(UserError) as error:
        RealFrames(folder, CROPS)
    assert error.value.code == code
    assert named in error.value.message
    assert error.value.remedy


def test_a_folder_that_is_none_is_said(tmp_path):
    with pytest.raises(UserError) as error:
        RealFrames(tmp_path / "nowhere", CROPS)
    assert error.value.code == "no-such-folder"


def test_simulated_frames_below_the_crop_are_refused(tmp_path):
    write_dataset(tmp_path, size=24)
    with pytest.raises(UserError) as error:
        SimulatedFrames(tmp_path, "train", CROPS)
    assert error.value.code == "small-frame"


@pytest.mark.parametrize(
    "fields", [{"size": 40}, {"size": 16}, {"real_share": (0.9, 0.5)}, {"simulated_share": (0, 1)},
               {"least_visible": 1.5}],
)  # fmt: skip
def test_crops_that_cannot_be_cut_are_refused(fields):
    with pytest.raises(UserError) as error:
        check_crops(CropConfig(**fields))
    assert error.value.code in ("crop", "out-of-range")
