"""Frames without a view of the lumen are marked, with the reason; frames with one are not."""

import numpy as np
import pytest
from made_segmenter import disc, frame_with
from PIL import Image, ImageFilter

from inference_core.segmenter.overlay import overlay
from inference_core.segmenter.view import AT_THE_WALL, BLURRED, OUT_OF_DOMAIN, no_lumen_view

SHAPES = [(96, 96), (256, 256), (480, 720), (1080, 1920)]


def lumen(shape, seed=0):
    """Its texture is as coarse in any size as an endoscope's picture is."""
    small = frame_with([disc((128, 128), (0.3, 0.7), 0.1)], (128, 128), seed)
    return np.asarray(Image.fromarray(small).resize(shape[::-1], Image.Resampling.BICUBIC))


def blurred(rgb, sigma):
    """Sigma in pixels of a frame of 256."""
    side = min(256, *rgb.shape[:2])
    reach = sigma * max(1, min(rgb.shape[:2]) / side)
    return np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(reach)))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sharp_lumen_is_a_view_and_its_blur_is_none(shape):
    assert no_lumen_view(lumen(shape)) == ()
    assert BLURRED in no_lumen_view(blurred(lumen(shape), 5))


def test_a_black_border_makes_no_blurred_frame_sharp_and_no_wall_a_lumen():
    border = ~disc((256, 256), (0.5, 0.5), 0.45)
    rgb = blurred(lumen((256, 256)), 5)
    rgb = np.where(border[..., None], 0, rgb).astype(np.uint8)
    assert BLURRED in no_lumen_view(rgb, ~border)
    wall = np.random.default_rng(0).normal((190, 90, 60), 12, (256, 256, 3)).clip(0, 255).astype(np.uint8)
    assert AT_THE_WALL in no_lumen_view(np.where(border[..., None], 0, wall).astype(np.uint8), ~border)


def test_a_wall_close_by_is_no_view():
    wall = np.random.default_rng(0).normal((190, 90, 60), 12, (200, 300, 3)).clip(0, 255).astype(np.uint8)
    assert no_lumen_view(wall) == (AT_THE_WALL,)
    assert AT_THE_WALL in no_lumen_view(np.full((200, 300, 3), (230, 40, 30), np.uint8))


FOREIGN = [(0, 0, 0), (5, 4, 4), (255, 255, 255), (128, 128, 128), (40, 60, 200), (40, 180, 60)]


@pytest.mark.parametrize("colour", FOREIGN)
def test_frames_of_something_else_are_out_of_domain(colour):
    assert OUT_OF_DOMAIN in no_lumen_view(np.full((120, 160, 3), colour, np.uint8))


def test_a_grey_video_is_out_of_domain_and_blue_light_is_not():
    rgb = lumen((256, 256))
    grey = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    assert no_lumen_view(grey) == (OUT_OF_DOMAIN,)
    narrow_band = (grey * np.array([1.0, 1.05, 0.8])).clip(0, 255).astype(np.uint8)
    assert no_lumen_view(narrow_band) == ()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 3), (9, 200), (64, 65)])
def test_frames_of_any_size_are_judged(shape):
    assert isinstance(no_lumen_view(np.full((*shape, 3), 90, np.uint8)), tuple)
    assert no_lumen_view(np.full((*shape, 3), 90, np.uint8), np.zeros(shape, bool)) == (OUT_OF_DOMAIN,)


def test_the_overlay_colours_folds_and_says_why_a_frame_is_no_view():
    rgb = lumen((128, 128))
    instances = np.where(disc((128, 128), (0.7, 0.6), 0.1), 3, 0)
    drawn = overlay(rgb, instances)
    np.testing.assert_array_equal(drawn[instances == 0], rgb[instances == 0])
    assert (drawn[instances > 0] != rgb[instances > 0]).any(axis=1).all()
    told = overlay(rgb, instances, (BLURRED,))
    assert (told[:16] != drawn[:16]).any()
    np.testing.assert_array_equal(told[32:], drawn[32:])
