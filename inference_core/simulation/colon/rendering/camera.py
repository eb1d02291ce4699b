"""The camera: where a point of the colon falls in the picture, and the ray that each pixel sees."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError

Model = Literal["pinhole", "fisheye"]

PINHOLE_ANGLE = 90.0  # degrees from the left edge to the right edge
FISHEYE_ANGLE = 140.0  # degrees from corner to corner: what colonoscopes are sold with
WIDEST_ANGLE = 160.0  # degrees, corner to corner: beyond it a flat picture cannot hold the fisheye's view
NEWTON_STEPS = 12


@dataclass(frozen=True)
class Camera:
    """Intrinsics in OpenCV's convention: x right, y down, z forward; the centre of the first pixel is at (0, 0).

    Attributes
    ----------
    width, height : int
        Pixels.
    fx, fy, cx, cy : float
        Focal lengths and principal point in pixels.
    model : "pinhole" or "fisheye"
        ``fisheye`` is OpenCV's: a ray at the angle t to the axis falls at the distance
        ``t * (1 + k1 t² + k2 t⁴ + k3 t⁶ + k4 t⁸)`` focal lengths from the principal point.
    distortion : tuple of 4 float
        k1 to k4 of the fisheye (Kannala and Brandt 2006); zeros make it equidistant. A pinhole has none.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: Model = "pinhole"
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """The camera as JSON holds it; `camera_from_dict` reads it back."""
        return {**asdict(self), "distortion": list(self.distortion)}


def endoscope_camera(size: int = 256, model: Model = "pinhole") -> Camera:
    """A square picture with the view of an endoscope: 90 degrees across (pinhole), 140 over the diagonal (fisheye)."""
    if model == "fisheye":
        focal = size / np.sqrt(2) / np.radians(FISHEYE_ANGLE / 2)
    else:
        focal = size / 2 / np.tan(np.radians(PINHOLE_ANGLE / 2))
    centre = (size - 1) / 2
    return checked_camera(Camera(size, size, float(focal), float(focal), centre, centre, model))


def camera_from_dict(values: dict[str, Any]) -> Camera:
    """Read a camera back from `Camera.to_dict`.

    Raises
    ------
    UserError
        ``bad-camera``: a value is missing, unknown or impossible.
    """
    try:
        width, height = int(values["width"]), int(values["height"])
        fx, fy, cx, cy = (float(values[name]) for name in ("fx", "fy", "cx", "cy"))
        k1, k2, k3, k4 = (float(k) for k in values.get("distortion", (0.0, 0.0, 0.0, 0.0)))
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(f"The camera {values} lacks a value or has one that is no number ({error}).") from error
    return checked_camera(Camera(width, height, fx, fy, cx, cy, values.get("model", "pinhole"), (k1, k2, k3, k4)))


def checked_camera(camera: Camera) -> Camera:
    """Give the camera back if a picture can be made with it.

    Raises
    ------
    UserError
        ``bad-camera``.
    """
    if camera.model not in ("pinhole", "fisheye"):
        raise _bad(f"The camera model {camera.model!r} is neither pinhole nor fisheye.")
    if camera.model == "pinhole" and any(camera.distortion):
        raise _bad("A pinhole camera has no distortion.")
    if not (1 <= camera.width <= 8192 and 1 <= camera.height <= 8192):
        raise _bad(f"A picture of {camera.width} x {camera.height} pixels cannot be rendered.")
    if not (np.isfinite([camera.cx, camera.cy]).all() and 0 < camera.fx < np.inf and 0 < camera.fy < np.inf):
        raise _bad(f"Focal lengths ({camera.fx}, {camera.fy}) must be above zero and the centre a number.")
    corners = np.array([(u, v) for u in (-0.5, camera.width - 0.5) for v in (-0.5, camera.height - 0.5)])
    tangents = np.linalg.norm(rays_through(camera, corners)[:, :2], axis=1)
    if not (tangents < np.tan(np.radians(WIDEST_ANGLE / 2))).all():
        raise _bad(f"The camera's view is wider than {WIDEST_ANGLE:g} degrees from corner to corner.")
    return camera


def pixel_rays(camera: Camera) -> NDArray[np.float64]:
    """Direction that each pixel's centre sees, in camera axes, with z = 1; (height, width, 3)."""
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return rays_through(camera, np.stack([columns, rows], axis=-1))


def rays_through(camera: Camera, pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Direction seen at picture positions (..., 2) of column and row, in camera axes, with z = 1; (..., 3)."""
    plane = (pixels - np.array([camera.cx, camera.cy])) / np.array([camera.fx, camera.fy])
    if camera.model == "fisheye":
        radius = np.linalg.norm(plane, axis=-1)
        angle = _undistorted(radius, camera.distortion)
        tangent = np.where(angle < np.pi / 2, np.tan(np.minimum(angle, 1.57)), np.inf)
        plane = plane * np.where(radius > 0, tangent / np.maximum(radius, 1e-12), 1.0)[..., np.newaxis]
    return np.concatenate([plane, np.ones((*plane.shape[:-1], 1))], axis=-1)


def project(camera: Camera, points: NDArray[Any]) -> NDArray[np.float64]:
    """Column and row at which points (..., 3), given in camera axes and in front of the camera, are seen; (..., 2)."""
    plane = points[..., :2] / points[..., 2:]
    if camera.model == "fisheye":
        tangent = np.linalg.norm(plane, axis=-1)
        radius = _distorted(np.arctan(tangent), camera.distortion)
        plane = plane * np.where(tangent > 0, radius / np.maximum(tangent, 1e-12), 1.0)[..., np.newaxis]
    return plane * np.array([camera.fx, camera.fy]) + np.array([camera.cx, camera.cy])


def pinhole_around(camera: Camera) -> Camera:
    """A pinhole camera that sees all that a fisheye sees, as sharply in the middle."""
    border = np.concatenate(
        [
            [(u, v) for u in range(camera.width) for v in (0, camera.height - 1)],
            [(u, v) for u in (0, camera.width - 1) for v in range(camera.height)],
        ]
    )
    rays = rays_through(camera, border)
    low = np.floor(np.minimum(rays[:, :2].min(axis=0), 0) * (camera.fx, camera.fy)) - 2
    high = np.ceil(np.maximum(rays[:, :2].max(axis=0), 0) * (camera.fx, camera.fy)) + 2
    width, height = (int(n) for n in high - low + 1)
    return Camera(width, height, camera.fx, camera.fy, -float(low[0]), -float(low[1]))


def _distorted(angle: NDArray[Any], distortion: tuple[float, ...]) -> NDArray[np.float64]:
    squared = angle**2
    k1, k2, k3, k4 = distortion
    return angle * (1 + squared * (k1 + squared * (k2 + squared * (k3 + squared * k4))))


def _undistorted(radius: NDArray[Any], distortion: tuple[float, ...]) -> NDArray[np.float64]:
    """The angle whose `_distorted` is ``radius``, by Newton's method; NaN where there is none."""
    k1, k2, k3, k4 = distortion
    angle = np.asarray(radius, dtype=np.float64)
    if not any(distortion):
        return angle
    for _ in range(NEWTON_STEPS):
        squared = angle**2
        slope = 1 + squared * (3 * k1 + squared * (5 * k2 + squared * (7 * k3 + squared * 9 * k4)))
        angle = np.clip(angle - (_distorted(angle, distortion) - radius) / np.maximum(slope, 1e-3), 0, np.pi)
    return np.where(np.abs(_distorted(angle, distortion) - radius) < 1e-6, angle, np.nan)


def _bad(message: str) -> UserError:
    return UserError(
        "bad-camera", message, "Give width, height, fx, fy, cx, cy in pixels and the model pinhole or fisheye."
    )
