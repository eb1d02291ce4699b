"""How long a run will take and how much memory, before it is started."""

from slicer.i18n import tr as _

from FaithfulImagingLib.text import durationText
from inference_core.denoiser.pipeline import available_cores

SECONDS_PER_MEGAPIXEL = 0.25  # of one core with the bundled models; this machine's own runs replace it
START = 1.0  # seconds until the worker works
WORKER = 130e6  # bytes; measured on the bundled models, as the numbers below
WORKER_PER_MEGAPIXEL = 800e6  # of each slice that is worked on
WORKER_COPIES = 3.5  # of the input
SETTING = "LowDoseDenoise/SecondsPerMegapixel"


def expected(shape: tuple, voxelBytes: int, secondsPerMegapixel: float, cores: int) -> tuple[float, float]:
    """Time and memory of a run.

    Parameters
    ----------
    shape : (slices, rows, columns)
    voxelBytes : int
    secondsPerMegapixel : float
        Of one core.
    cores : int

    Returns
    -------
    (seconds, bytes)
        Bytes of this process and the worker together, beyond what they hold already.
    """
    slices, rows, columns = shape
    megapixels = rows * columns / 1e6
    cores = max(min(cores, slices), 1)
    volume = slices * rows * columns * voxelBytes
    seconds = START + slices * megapixels * secondsPerMegapixel / cores + 4 * volume / 500e6
    return seconds, WORKER + cores * megapixels * WORKER_PER_MEGAPIXEL + (WORKER_COPIES + 2) * volume


def expectedText(shape: tuple, voxelBytes: int, speed: float | None) -> str:
    """The same in words."""
    cores = available_cores()
    seconds, memory = expected(shape, voxelBytes, speed or SECONDS_PER_MEGAPIXEL, cores)
    text = _("About {time} and {memory:.1f} GB of memory").format(time=durationText(seconds), memory=memory / 1e9)
    return text if speed else _("{text} (a guess: no run yet)").format(text=text)


def measuredSpeed(report: dict) -> float | None:
    """Seconds of one core per megapixel in a run that has ended; None where it was too short to tell."""
    slices, rows, columns = report["input"]["shape"]
    megapixels, cores = slices * rows * columns / 1e6, max(min(report["engine"]["threads"], slices), 1)
    if megapixels < 2 or slices < 2 * cores:
        return None
    return report["time"]["denoise_s"] * cores / megapixels


def settingOf(model: str, engine: str, device: str) -> str:
    """Under which the application's settings keep the speed."""
    return f"{SETTING}/{model}/{engine}/{device}"
