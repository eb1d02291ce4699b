"""Real frames in the scene: a video or a folder of pictures, and the folds that were found in them."""

import csv

import numpy as np
from slicer.i18n import tr as _

from inference_core.errors import UserError

from .frames import FOUND, FRAMES, Loader, readPicture

FILM_ATTRIBUTE = "FaithfulImaging.film"
MOST = 1500  # frames in the scene; of a longer film every second, every third, ...
LONGEST_SIDE = 640  # pixels; larger frames are reduced
RATE = 25.0  # frames/s where a folder of pictures has no times


class FilmLoader(Loader):
    """Decodes a film's frames; :meth:`foundLoader` then brings the folds of the same frames.

    Parameters
    ----------
    film : Path
    results : Path
        What segment-folds wrote of it.
    count : int
        Of frames, as it reported.
    """

    def __init__(self, film, results, count: int) -> None:
        from inference_core.segmenter.frame_sources import open_source

        self.folder = results
        self._every = -(-count // MOST)
        self._frames = self._chosen(open_source(film))
        self._numbers: list[int] = []
        numbers = sorted(int(path.stem) for path in (results / "instances").glob("[0-9]*.png"))
        self._wanted = set(numbers[:: self._every])
        times = filmTimes(results)
        super().__init__(
            film.stem, FRAMES, [times[k] for k in sorted(self._wanted)], attributes={FILM_ATTRIBUTE: str(film)}
        )

    def _picture(self, index: int) -> np.ndarray:
        number, pixels = next(self._frames, (None, None))
        if number is None:
            raise UserError("bad-video", _("The film ended early."), _("Segment it again."))
        self._numbers.append(number)
        return pixels

    def foundLoader(self) -> Loader:
        """Folds of the frames that were loaded."""
        return _FoundLoader(self._name, self.folder, list(self._numbers), self._times, self.browser)

    def _chosen(self, source):
        for frame in source.frames(lambda message: None):
            if frame.number in self._wanted:
                yield frame.number, _reduced(frame.rgb)


class _FoundLoader(Loader):
    def __init__(self, name: str, folder, numbers: list[int], times: list[float], browser) -> None:
        self.folder, self._numbers = folder, numbers
        super().__init__(name, FOUND, times, browser)

    def _picture(self, index: int) -> np.ndarray:
        return _reduced(readPicture(self.folder / "instances" / f"{self._numbers[index]:06d}.png", FOUND))


def filmTimes(results) -> dict[int, float]:
    """Seconds of each frame, by its number, from ``frames.csv`` of segment-folds.

    Raises
    ------
    UserError
        ``bad-results``.
    """
    try:
        with (results / "frames.csv").open(encoding="utf-8", newline="") as file:
            rows = [(int(row["frame"]), row["time_s"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            "bad-results", _("{folder} has no table of frames.").format(folder=results), _("Segment the film again.")
        ) from error
    return {number: float(time) if time else number / RATE for number, time in rows}


def _reduced(pixels: np.ndarray) -> np.ndarray:
    step = -(-max(pixels.shape[:2]) // LONGEST_SIDE)
    return np.ascontiguousarray(pixels[::step, ::step])
