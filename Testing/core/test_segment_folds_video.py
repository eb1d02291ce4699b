"""A video in, an overlay video out: every time stamp kept, what can be read is written, and memory stays flat."""

import csv
import os
import weakref
from fractions import Fraction

import numpy as np
import pytest
from made_segmenter import disc, frame_with, moving, write_segmenter
from PIL import Image

av = pytest.importorskip("av")
pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from inference_core.errors import Cancelled, UserError  # noqa: E402
from inference_core.segmenter import job  # noqa: E402
from inference_core.segmenter.frame_sources import open_source  # noqa: E402
from inference_core.segmenter.video import Video  # noqa: E402

UNIT = Fraction(1, 1000)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_segmenter(tmp_path_factory.mktemp("models") / "green")


def write_video(
    path, frames, stamps=None, codec="libx264", pix_fmt="yuv420p", sound=False, turned=0, unit=UNIT, **options
):
    """Frames under their time stamps in ``unit``, by default 25 a second."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=None)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = unit
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "10"}
        noise = container.add_stream("aac", rate=44100, layout="mono") if sound else None
        for k, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = (stamps[k] if stamps else round(k / 25 / unit)), unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if noise:
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            tone.sample_rate, tone.pts = 44100, 0
            container.mux(noise.encode(tone))
            container.mux(noise.encode(None))
    if turned:
        turn_in_place(path, turned)
    return path


def turn_in_place(path, degrees):
    """Write a turn into the mp4's track header: its matrix is that of a player."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    one = 65536
    matrix = {90: (0, one, 0, -one, 0, 0), 180: (-one, 0, 0, 0, -one, 0)}[degrees]
    content[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in (*matrix, 0, 0, 1 << 30))
    path.write_bytes(content)


def run(source, out, model, emit=lambda *a, **k: None, cancelled=lambda: False, **more):
    message = {"job": "segment-folds", "input": str(source), "output": str(out), "model": str(model), **more}
    return job.run(message, emit, cancelled)


def times_and_frames(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(frame.pts * stream.time_base, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def mask(out, number):
    with Image.open(out / "masks" / f"{number:06d}.png") as image:
        return np.asarray(image) > 0


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_folds_of_a_video_are_marked_and_keep_their_colour(model, tmp_path, suffix):
    made = moving(9)
    source = write_video(tmp_path / f"in.{suffix}", [rgb for rgb, _, _ in made], unit=Fraction(1, 25))
    report = run(source, tmp_path / "out", model)
    assert (report["frames"], report["folds"], report["warnings"]) == (9, 2, [])
    shown = times_and_frames(tmp_path / "out" / "overlay.mp4")
    assert [time for time, _ in shown] == [time for time, _ in times_and_frames(source)]
    for k, (rgb, goes, stays) in enumerate(made):
        found = mask(tmp_path / "out", k)
        assert np.count_nonzero(found & (goes | stays)) > 0.8 * np.count_nonzero(found | goes | stays)
        assert np.abs(shown[k][1][~found].astype(int) - rgb[~found]).mean() < 15
    first, last = (frame[stays].mean(axis=0) for frame in (shown[0][1], shown[8][1]))
    assert np.abs(first - last).max() < 12
    assert np.abs(first - made[0][0][stays].mean(axis=0)).max() > 10


def test_times_of_a_variable_frame_rate_are_kept_to_the_stamp(model, tmp_path):
    stamps = [120, 140, 180, 181, 400, 1000, 1040]
    source = write_video(tmp_path / "in.mkv", [rgb for rgb, _, _ in moving(7)], stamps)
    run(source, tmp_path / "out", model)
    assert [time for time, _ in times_and_frames(tmp_path / "out" / "overlay.mp4")] == [s * UNIT for s in stamps]
    rows = table(tmp_path / "out" / "frames.csv")
    assert [float(row["time_s"]) for row in rows] == [s / 1000 for s in stamps]


def test_a_broken_tail_costs_only_the_tail(model, tmp_path):
    whole = write_video(tmp_path / "whole.mp4", [rgb for rgb, _, _ in moving(40)], movflags="faststart")
    content = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: int(0.6 * len(content))])
    report = run(cut, tmp_path / "out", model)
    assert 5 < report["frames"] < 40
    assert any(f"Of the 40 frames that cut.mp4 announces, {report['frames']}" in text for text in report["warnings"])
    assert len(times_and_frames(tmp_path / "out" / "overlay.mp4")) == report["frames"]
    assert len(table(tmp_path / "out" / "frames.csv")) == report["frames"]


def test_damage_in_the_middle_is_told_and_the_rest_is_read(model, tmp_path):
    source = write_video(tmp_path / "in.mkv", [rgb for rgb, _, _ in moving(30)])
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    source.write_bytes(content)
    report = run(source, tmp_path / "out", model)
    assert report["frames"] > 8
    assert len(times_and_frames(tmp_path / "out" / "overlay.mp4")) == report["frames"]


def test_a_turned_video_is_shown_upright(model, tmp_path):
    fold = disc((64, 96), (0.3, 0.25), 0.15)
    source = write_video(tmp_path / "in.mp4", [frame_with([fold], (64, 96))] * 3, turned=90)
    run(source, tmp_path / "out", model)
    found = mask(tmp_path / "out", 0)
    assert found.shape == (96, 64)
    turned = np.rot90(fold, -1)  # a player turns it clockwise
    assert np.count_nonzero(found & turned) > 0.8 * np.count_nonzero(found | turned)
    assert times_and_frames(tmp_path / "out" / "overlay.mp4")[0][1].shape == (96, 64, 3)


def test_odd_sides_one_frame_grey_pictures_and_sound(model, tmp_path):
    odd = write_video(tmp_path / "odd.avi", [frame_with([], (51, 77))], codec="png", pix_fmt="rgb24")
    assert run(odd, tmp_path / "odd", model)["frames"] == 1
    assert mask(tmp_path / "odd", 0).shape == (51, 77)
    assert times_and_frames(tmp_path / "odd" / "overlay.mp4")[0][1].shape == (52, 78, 3)
    grey = write_video(tmp_path / "grey.mkv", [rgb for rgb, _, _ in moving(2)], codec="ffv1", pix_fmt="gray")
    assert run(grey, tmp_path / "grey", model)["marks"]["out of domain"] == 2
    sound = write_video(tmp_path / "sound.mp4", [rgb for rgb, _, _ in moving(3)], sound=True)
    assert any("sound" in text for text in run(sound, tmp_path / "sound", model)["warnings"])
    with av.open(str(tmp_path / "sound" / "overlay.mp4")) as container:
        assert not container.streams.audio


def test_what_is_no_video_is_told(model, tmp_path):
    text = tmp_path / "in.mp4"
    text.write_text("no video")
    cut = write_video(tmp_path / "whole.mp4", [rgb for rgb, _, _ in moving(9)])
    cut.write_bytes(cut.read_bytes()[:-400])  # without the index at its end
    tune = tmp_path / "tune.wav"
    with av.open(str(tune), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        tone.sample_rate = 8000
        container.mux(stream.encode(tone))
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for source in (text, cut, tune, empty):
        with pytest.raises(UserError) as error:
            run(source, tmp_path / "out", model)
        assert error.value.code == "bad-video"
        assert source.name in error.value.message
    assert not (tmp_path / "out").exists()


def test_a_video_that_holds_no_frame_is_told(model, tmp_path):
    source = write_video(tmp_path / "in.mp4", [rgb for rgb, _, _ in moving(9)], movflags="faststart")
    content = source.read_bytes()
    source.write_bytes(content[: content.index(b"mdat") + 8])
    with pytest.raises(UserError) as error:
        run(source, tmp_path / "out", model)
    assert error.value.code == "no-frames"


def test_a_stopped_video_goes_on_and_its_overlay_is_whole(model, tmp_path):
    out = tmp_path / "out"
    source = write_video(tmp_path / "in.mp4", [rgb for rgb, _, _ in moving(20)])
    with pytest.raises(Cancelled):
        run(source, out, model, cancelled=lambda: (out / "instances" / "000004.png").exists())
    assert not (out / "overlay.mp4").exists()
    assert not list(out.glob(".*"))
    assert run(source, out, model)["made"] < 16
    assert len(times_and_frames(out / "overlay.mp4")) == 20
    run(source, tmp_path / "whole", model)
    for name in ("folds.csv", "frames.csv", "segmentation.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_text_over_a_video_is_never_marked(model, tmp_path):
    letters = np.zeros((128, 128), bool)
    letters[8:14, 8:60:4] = letters[8, 8:60] = True
    frames = []
    for rgb, _, _ in moving(40, (128, 128)):
        rgb[letters] = 250
        frames.append(rgb)
    source = write_video(tmp_path / "in.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    run(source, tmp_path / "out", model)
    assert not any((mask(tmp_path / "out", k) & letters).any() for k in range(40))


def test_a_full_disk_while_the_overlay_is_written_is_told(model, tmp_path, monkeypatch):
    def full(*_):
        raise av.error.OSError(28, "No space left on device")

    monkeypatch.setattr("inference_core.segmenter.video.OverlayVideo.add", full)
    source = write_video(tmp_path / "in.mp4", [rgb for rgb, _, _ in moving(3)])
    with pytest.raises(UserError) as error:
        run(source, tmp_path / "out", model)
    assert error.value.code == "write-failed"


def test_memory_does_not_grow_with_a_video(model, tmp_path, monkeypatch):
    """Only frames that are worked on are kept."""
    source = write_video(tmp_path / "in.mp4", [rgb for rgb, _, _ in moving(30)] * 5)
    read, kept = Video.frames, []

    def watched(self, warn):
        refs = []
        for frame in read(self, warn):
            refs.append(weakref.ref(frame.rgb))
            kept.append(sum(ref() is not None for ref in refs))
            yield frame

    monkeypatch.setattr(Video, "frames", watched)
    run(source, tmp_path / "out", model)
    assert len(kept) == 150
    assert max(kept[75:]) <= 6 * (os.cpu_count() or 1) + 4


def test_without_pyav_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("inference_core.extras.importlib.util.find_spec", lambda name: None)
    (tmp_path / "in.mp4").touch()
    with pytest.raises(UserError) as error:
        open_source(tmp_path / "in.mp4")
    assert error.value.code == "missing-package"
    assert "[video]" in error.value.remedy
