"""What a bug report needs to know of the panel's settings and of the last run; nothing of a patient."""

from FaithfulImagingLib import support


def supportText(parameters, run) -> str:
    """The report as text.

    Parameters
    ----------
    parameters : LowDoseDenoiseParameterNode or None
    run : VolumeRun or None
        The last one.
    """
    lines = []
    if parameters:
        lines.append(
            f"model {parameters.model or 'automatic'}, strength {parameters.strength:g}, engine"
            f" {parameters.engine.value}, device {parameters.device.value}"
        )
        lines.append(_volume(parameters.inputVolume))
    return support.supportText(lines, run, _done)


def _done(report: dict) -> str:
    engine, took = report["engine"], report["time"]
    return (
        f"{report['model']['id']} on {engine['name']} {engine['device']}, {engine['threads']} threads,"
        f" tile {engine['tile']}, read {took['read_s']} s, denoised {took['denoise_s']} s"
    )


def _volume(volume) -> str:
    image = volume.GetImageData() if volume else None
    if image is None:
        return "no input"
    size = " x ".join(map(str, image.GetDimensions()))
    spacing = " x ".join(f"{length:.3g}" for length in volume.GetSpacing())
    return f"input {size} voxels of {image.GetScalarTypeAsString()}, {spacing} mm"
