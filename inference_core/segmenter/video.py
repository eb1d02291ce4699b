"""Videos in and out, by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.image.visible_area import Mask
from inference_core.segmenter.frame_sources import LOOKED_AT, Frame, Look, Warn, text_in

if TYPE_CHECKING:
    import av

Rgb = NDArray[np.uint8]

QUALITY = "18"  # x264's constant rate factor; differences can hardly be seen
THREADS = 2
GUESS = 10  # every so many frames are looked at where a video does not say how many it has
LATE = 0.5  # seconds that a video's end may lie before the one it announces


class Video:
    """A video's frames, as a player shows them: turned where it says so, their time stamps kept.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    unit : Fraction
        Seconds of a time stamp's step.

    Raises
    ------
    UserError
        ``missing-package``; ``bad-video`` for a file that is none.
    """

    kind = "video"

    def __init__(self, path: Path) -> None:
        need("av", "video", "Reading a video")
        self.path, self.name = path, path.name
        with _opened(path) as container:
            stream = container.streams.video[0]
            self.unit = Fraction(stream.time_base or Fraction(1, 1000))
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            self._step = max(1, round(1 / (rate * self.unit)))
            # An avi counts pictures that it leaves out, too.
            self._announced = 0 if container.format.name == "avi" else int(stream.frames)
            self._likely = self._announced or int((container.duration or 0) / 1e6 * rate)
            self._ends_s = float(stream.duration * self.unit) if stream.duration else None
            self._has_sound = bool(container.streams.audio)
        self.count = 0
        self._text: dict[tuple[int, ...], Mask | None] = {}

    def survey(self, look: Look) -> None:
        """Count the frames that can be read; search text in some of them."""
        every = max(1, self._likely // LOOKED_AT) if self._likely else GUESS
        shape: list[tuple[int, ...]] = []

        def samples() -> Iterator[Rgb]:
            for number, frame in enumerate(self._decoded([])):
                self.count = number + 1
                look(self.count)
                if number % every or number >= every * LOOKED_AT:
                    continue
                rgb = _upright(frame)
                shape.append(rgb.shape[:2])
                if rgb.shape[:2] == shape[0]:
                    yield rgb

        frames = samples()
        first = next(frames, None)
        if first is None:
            raise UserError(
                "no-frames", f"No frame of {self.name} can be read.", "The video may be damaged; give another."
            )

        def all_of_them() -> Iterator[Rgb]:
            yield first
            yield from frames

        self._text[shape[0]] = text_in(all_of_them(), shape[0])

    def frames(self, warn: Warn) -> Iterator[Frame]:
        """Frames in the order in which they are shown."""
        damage: list[str] = []
        last = None
        number = 0
        for number, frame in enumerate(self._decoded(damage), 1):
            stamp = frame.pts
            if stamp is None:
                stamp = 0 if last is None else last + self._step
            if last is not None and stamp <= last:
                damage.append(f"frame {number - 1} has the time of the one before")
                stamp = last + 1
            last = stamp
            lasts = int(frame.duration) or self._step
            yield Frame(number - 1, _upright(frame), float(stamp * self.unit), stamp=stamp, lasts=lasts)
        self._tell(number, 0.0 if last is None else float(last * self.unit), damage, warn)

    def hidden(self, shape: tuple[int, ...]) -> Mask | None:
        """Text that lies over many frames."""
        return self._text.get(shape)

    def visible(self) -> Mask | None:
        """Not known without looking."""
        return None

    def _decoded(self, damage: list[str]) -> Iterator[av.VideoFrame]:
        """What can be decoded; what cannot is told in ``damage``."""
        import av

        with _opened(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = THREADS
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                except av.error.FFmpegError as error:
                    damage.append(f"the file breaks off ({error.strerror})")
                    break
                if packet is None:
                    break
                try:
                    yield from packet.decode()
                except av.error.EOFError:
                    break
                except av.error.FFmpegError as error:
                    damage.append(f"a part cannot be decoded ({error.strerror})")

    def _tell(self, read: int, last_s: float, damage: list[str], warn: Warn) -> None:
        if damage:
            warn(f"{self.name} is damaged: {damage[0]}{f', and {len(damage) - 1} more' if damage[1:] else ''}.")
        if read < self._announced:
            warn(f"Of the {self._announced} frames that {self.name} announces, {read} could be read.")
        elif not self._announced and self._ends_s and last_s + 2 * self._step * self.unit + LATE < self._ends_s:
            warn(f"{self.name} announces {self._ends_s:.1f} s; {read} frames up to {last_s:.1f} s could be read.")
        if self._has_sound:
            warn("The video's sound is left out of the overlay.")


class OverlayVideo:
    """An mp4 whose frames have given time stamps.

    Parameters
    ----------
    path : Path
    shape : (height, width)
        Of its frames; others are scaled to it. Where a side is odd, a row or column is repeated, as codecs need it.
    unit : Fraction
        Seconds of a time stamp's step.

    Raises
    ------
    UserError
        ``write-failed``.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], unit: Fraction) -> None:
        import av

        self.path, self.shape = path, shape
        self.codec = "libx264" if "libx264" in av.codec.codecs_available else "mpeg4"
        self._container = av.open(str(path), "w")
        stream: Any = self._container.add_stream(self.codec, rate=None)
        stream.height, stream.width = (side + side % 2 for side in shape)
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = unit
        stream.codec_context.thread_count = THREADS
        if self.codec == "libx264":  # no frame waits for a later one: stamps need no shift
            stream.options = {"preset": "veryfast", "crf": QUALITY, "bf": "0"}
        else:
            stream.codec_context.bit_rate = 16 * stream.height * stream.width
        self._stream = stream
        self._unit = unit

    def add(self, rgb: Rgb, stamp: int, lasts: int) -> None:
        """Encode the next frame, (H, W, 3) uint8, shown at ``stamp`` for ``lasts``."""
        import av

        odd = [(0, side % 2) for side in rgb.shape[:2]]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.pad(rgb, [*odd, (0, 0)], mode="edge")), "rgb24")
        frame = frame.reformat(self._stream.width, self._stream.height, "yuv420p")
        frame.pts, frame.time_base, frame.duration = stamp, self._unit, lasts
        self._write(frame)

    def close(self, whole: bool = True) -> None:
        """Finish the file; with ``whole`` False, give it up."""
        import contextlib

        import av

        if whole:
            self._write(None)
        with contextlib.nullcontext() if whole else contextlib.suppress(av.error.FFmpegError, OSError):
            self._container.close()

    def _write(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _opened(path: Path) -> Any:
    import av

    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            "bad-video",
            f"{path.name} cannot be read as a video: {error.strerror or error}.",
            "Give a video (mp4, mov, avi, mkv, ...) that plays; an mp4 without its end often does not.",
        ) from error
    if not container.streams.video:
        container.close()
        raise UserError("bad-video", f"{path.name} holds no video.", "Give a file with a picture.")
    if container.streams.video[0].codec_context is None:
        container.close()
        raise UserError(
            "bad-video", f"The pictures of {path.name} are of a kind that cannot be decoded.", "Save it as mp4 (H.264)."
        )
    return container


def _upright(frame: av.VideoFrame) -> Rgb:
    """A frame as RGB, turned as its video says."""
    rgb = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4  # counter-clockwise, as numpy turns
    return np.ascontiguousarray(np.rot90(rgb, turns))
