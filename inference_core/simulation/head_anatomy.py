"""The head of the temporal-bone phantom: what lies where, in mm, and how many HU it has.

Dimensions follow anatomy text books (cochlea 7 mm across, semicircular canals 6-7 mm with a 1 mm lumen, internal
auditory canal 5 mm, ear canal 7 mm, ossicles 1-2 mm), rounded, and varied a little from seed to seed and side to side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inference_core.simulation.painted_scene import Point, Scene
from inference_core.simulation.projection import Ellipsoid, FloatArray

AIR, FAT, FLUID, BRAIN, SOFT_TISSUE = -1000.0, -90.0, 10.0, 35.0, 50.0
SPONGY, MASTOID, COMPACT, OSSICLE, PETROUS = 550.0, 900.0, 1100.0, 1500.0, 1800.0

UP = (0.0, 0.0, 1.0)
LATERAL = (1.0, 0.0, 0.0)
PETROUS_AXIS = (-0.811, -0.585, 0.0)  # medial and anterior
PETROUS_FACE = (0.585, -0.811, 0.0)  # across it: lateral and anterior
CELL_RADII = (2.8, 2.3, 1.9, 1.5, 1.2, 0.9, 0.7)  # mm, of the mastoid air cells
CELL_TRIES = 3000  # at placing a cell of each radius
DETAIL_DIAMETERS = (2.0, 1.5, 1.0, 0.8, 0.6)  # mm


@dataclass(frozen=True)
class Roi:
    """A box in one tissue.

    Attributes
    ----------
    name : str
    centre : (x, y, z)
        mm, LPS.
    size : (x, y, z)
        mm, along the LPS axes.
    """

    name: str
    centre: Point
    size: Point


@dataclass(frozen=True)
class Detail:
    """A small sphere of known contrast.

    Attributes
    ----------
    name : str
    centre : (x, y, z)
        mm, LPS.
    diameter : float
        mm.
    hu, background_hu : float
        Inside it and around it (malleus and incus touch their thin processes besides).
    """

    name: str
    centre: Point
    diameter: float
    hu: float
    background_hu: float


@dataclass(frozen=True)
class Side:
    """One side of the head; its own axes are lateral, posterior, superior.

    Attributes
    ----------
    name : str
    sign : int
        +1 left, -1 right.
    turn : float
        Of the temporal bone about the vertical, radians.
    shift : (lateral, posterior, superior)
        mm.
    """

    name: str
    sign: int
    turn: float = 0.0
    shift: Point = (0.0, 0.0, 0.0)

    def point(self, *place: float) -> Point:
        """LPS position of a place in the side's own axes; the turn is about (45, 5)."""
        lateral, posterior, superior = place
        c, s = np.cos(self.turn), np.sin(self.turn)
        turned = (
            c * (lateral - 45) - s * (posterior - 5) + 45,
            s * (lateral - 45) + c * (posterior - 5) + 5,
            superior,
        )
        x, y, z = (float(a + b) for a, b in zip(turned, self.shift, strict=True))
        return (self.sign * x, y, z)

    def ellipsoid(self, centre: Point, semi_axes: Point, along: Point = LATERAL, normal: Point = UP) -> Ellipsoid:
        """Semi-axes along ``along``, across it, and along ``normal``, all in the side's own axes."""
        columns = [self._direction(along), self._direction(normal)]
        first = columns[0] / np.linalg.norm(columns[0])
        third = columns[1] - first * (columns[1] @ first)
        third /= np.linalg.norm(third)
        axes = np.stack([first, np.cross(third, first), third], -1)
        return Ellipsoid(self.point(*centre), semi_axes, tuple(float(v) for v in axes.ravel()))

    def _direction(self, d: Point) -> FloatArray:
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([self.sign * (c * d[0] - s * d[1]), s * d[0] + c * d[1], d[2]])


BOTH = (Side("left", 1), Side("right", -1))


def head(seed: int) -> tuple[Scene, list[Roi], list[Detail]]:
    """The phantom, its ROIs and its details, for one seed of its small variations."""
    rng = np.random.default_rng([seed, 0])
    scene = Scene()
    _soft_tissue_and_skull(scene)
    _face(scene, rng)
    details: list[Detail] = []
    sides = []
    for name, sign in (("left", 1), ("right", -1)):
        shift = rng.uniform(-0.8, 0.8, 3)
        side = Side(name, sign, float(rng.uniform(-0.03, 0.03)), (float(shift[0]), float(shift[1]), float(shift[2])))
        sides.append(side)
        _temporal_bone(scene, side, rng)
        details += _middle_ear(scene, side) + _test_spheres(scene, side)
    return scene, _rois(sides[0]), details


def _rois(left: Side) -> list[Roi]:
    """Boxes wholly inside one tissue, with room for the blur of the kernel."""
    return [
        Roi("brain", (0.0, 47.5, 0.0), (68.0, 35.0, 19.2)),
        Roi("air", (76.0, -61.0, 0.0), (18.0, 22.0, 19.2)),
        Roi("soft tissue", (60.2, -33.0, 0.0), (7.4, 14.0, 19.2)),
        Roi("cavity", left.point(53, 16, 2), (5.6, 6.8, 6.2)),
        Roi("bone", left.point(27.5, -9.0, -0.2), (7.0, 8.0, 7.6)),
    ]


def _soft_tissue_and_skull(scene: Scene) -> None:
    for part in (Ellipsoid((0, -30, 5), (67, 62, 100)), Ellipsoid((0, 19, 22), (77, 82, 100))):
        scene.paint(SOFT_TISSUE, part)
    scene.paint(SOFT_TISSUE, Ellipsoid((0, -86, -8), (11, 23, 24)))  # nose
    for side in BOTH:
        scene.paint(SOFT_TISSUE, side.ellipsoid((81, 15, 0), (13.5, 1.9, 24), along=(0.5, 0.87, 0)))  # auricle
        scene.paint(FAT, side.ellipsoid((59, -54, -4), (2.5, 9, 24), along=(0.9, -0.43, 0)))
    scene.paint(COMPACT, Ellipsoid((0, 20, 22), (69.8, 73, 90)))
    scene.paint(SPONGY, Ellipsoid((0, 20.4, 22), (68, 70.5, 88)))
    scene.paint(COMPACT, Ellipsoid((0, 19.6, 22), (65.6, 68.3, 85.5)))
    scene.paint(BRAIN, Ellipsoid((0, 19, 22), (63.5, 66.3, 83)))
    scene.paint(COMPACT, Ellipsoid((0, 86, 0), (8, 6, 14)))  # internal occipital protuberance
    scene.paint(COMPACT, Ellipsoid((0, 84, -4), (3, 7, 18)))
    scene.paint(FLUID, Ellipsoid((0, -11, 2), (22, 9, 16)))  # prepontine cistern
    scene.paint(BRAIN, Ellipsoid((0, 3, 0), (16, 12, 20)))  # pons
    scene.paint(FLUID, Ellipsoid((0, 20.5, 0), (7.5, 4.5, 12)))  # fourth ventricle


def _face(scene: Scene, rng: np.random.Generator) -> None:
    scene.paint(SPONGY, Ellipsoid((0, -38, -6), (21, 16, 22)))  # body of the sphenoid
    clivus = Ellipsoid((0, -22, -13), (15, 6, 17), (1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8))
    scene.paint(SPONGY, clivus)
    for side in BOTH:
        scene.paint(COMPACT, side.ellipsoid((30, -60, 3), (22, 17.3, 23), along=(0.4, -0.92, 0)))  # orbit
        scene.paint(COMPACT, side.ellipsoid((48, -58, 2), (10, 2.8, 24), along=(0.3, -0.95, 0)))  # its outer rim
        scene.paint(FAT, side.ellipsoid((31, -62.5, 3), (22.5, 15.8, 21.5), along=(0.4, -0.92, 0)))
        scene.paint(SOFT_TISSUE, side.ellipsoid((33, -81, 3), (15, 4.5, 24), along=(0.9, 0.43, 0)))  # lids
        scene.paint(SOFT_TISSUE, side.ellipsoid((32, -72, 4), (12.5, 12.5, 12.5)))
        scene.paint(FLUID, side.ellipsoid((32, -72, 4), (11.3, 11.3, 11.3)))
        scene.paint(BRAIN + 50, side.ellipsoid((32.5, -81, 4), (4.4, 2.1, 4.4)))  # lens
        scene.paint(SOFT_TISSUE, side.ellipsoid((23, -51.5, 4), (10, 1.9, 2.2), along=(0.42, -0.9, 0)))  # optic nerve
        scene.paint(SOFT_TISSUE, side.ellipsoid((40.5, -59, 3), (11, 1.6, 6), along=(0.5, -0.86, 0)))  # lateral rectus
        scene.paint(SOFT_TISSUE, side.ellipsoid((18.5, -61, 3), (11, 1.5, 6), along=(0.12, -0.99, 0)))  # medial rectus
    scene.paint(COMPACT, Ellipsoid((0, -67, -4), (14, 26, 34)))  # ethmoid and nasal bones
    for side in BOTH:
        sinus = side.ellipsoid((8.4 + 0.8 * side.sign, -37.5, -3), (7.4 + side.sign, 10.5, 14))
        scene.paint(AIR, sinus)  # sphenoid sinus
    scene.paint(AIR, Ellipsoid((0, -67, -4), (13, 25, 33)))
    scene.paint(COMPACT, Ellipsoid((0, -67, -4), (0.6, 25.4, 34)))  # nasal septum
    for side in BOTH:
        for p in np.arange(-83.0, -50.0, 7.0):
            for s in (-12.0, 0.0, 12.0):  # septa of the ethmoid cells
                at = (6.5, float(p + rng.uniform(-2.5, 2.5)), float(s + rng.uniform(-4, 4)))
                tilt = (1.0, float(rng.uniform(-0.8, 0.8)), 0.0)
                septum = side.ellipsoid(at, (7.5, 0.5, float(rng.uniform(5, 8))), tilt)
                scene.paint(COMPACT, septum, Ellipsoid((0, -67, -4), (13.5, 25.5, 33.5)))


def _temporal_bone(scene: Scene, side: Side, rng: np.random.Generator) -> None:
    bone = side.ellipsoid((57.5, 24, -2), (12.5, 20, 24), (1, 0.12, 0))
    scene.paint(MASTOID, bone)
    scene.paint(MASTOID, side.ellipsoid((58, 8, 6), (9, 10, 9)))  # root of the zygoma, roof of the ear canal
    scene.paint(PETROUS, side.ellipsoid((34, -1.5, -3), (31, 11, 13.5), PETROUS_AXIS))
    scene.paint(PETROUS, side.ellipsoid((44, 6, -3), (18, 13, 14.5), PETROUS_AXIS))
    scene.paint(PETROUS, side.ellipsoid((39, 2, 5), (7, 8, 8.5), PETROUS_AXIS))  # arcuate eminence
    scene.paint(COMPACT, side.ellipsoid((60, 3, -4), (10, 7.5, 7)))  # tympanic part
    ear_canal = side.ellipsoid((70, 3, -3), (20.5, 3.5, 3.9), (1, -0.03, 0))
    sinus = side.ellipsoid((50.5, 41.5, -2), (4, 7.5, 22), (0.8, 0.6, 0))
    facial = side.ellipsoid((49, 9.5, -10), (0.8, 0.8, 9))
    tympanic = side.ellipsoid((46.5, 1, -2), (3.2, 6, 7.5))
    epitympanum = side.ellipsoid((47.3, 0.3, 4), (3.4, 5, 4.2))
    aditus = side.ellipsoid((49.8, 7.5, 3.5), (2.6, 4.6, 2.6))
    antrum = side.ellipsoid((53, 16, 2), (6, 7.5, 7))
    for cell in _air_cells(bone, [ear_canal, sinus, facial, tympanic, epitympanum, aditus, antrum], rng):
        scene.paint(AIR, cell)
    scene.paint(SOFT_TISSUE, sinus)
    scene.paint(SOFT_TISSUE, facial)
    for cavity in (ear_canal, tympanic, epitympanum, aditus, antrum):
        scene.paint(AIR, cavity)
    scene.paint(SOFT_TISSUE, side.ellipsoid((49.6, 2.8, -3), (0.3, 4.0, 4.2), (0.95, 0.3, 0)))  # ear drum
    scene.paint(SOFT_TISSUE, side.ellipsoid((30, -12, -10), (9, 3, 3), PETROUS_AXIS))  # carotid canal
    scene.paint(SOFT_TISSUE, side.ellipsoid((35, 9, -14), (6, 5, 6)))  # jugular bulb
    scene.paint(FLUID, side.ellipsoid((27, 1.8, 0.5), (12, 2.5, 2.6)))  # internal auditory canal
    scene.paint(FLUID, side.ellipsoid((40.4, 3.0, 0), (1.9, 2.8, 2.6), (0.8, 0.6, 0)))  # vestibule
    for centre, normal in (
        ((43.4, 6.0, 2.4), (0.0, 0.3, 0.95)),  # lateral semicircular canal
        ((39.6, 3.4, 5.8), PETROUS_AXIS),  # superior
        ((41.8, 8.4, -1.0), PETROUS_FACE),  # posterior
    ):
        turn = np.linspace(0, 2 * np.pi, 15)
        _tube(scene, side, _spiral(centre, normal, turn, 3.1 + 0 * turn, 0 * turn), 0.6)
    turn = np.linspace(0, 5 * np.pi, 32)
    rise = turn / turn[-1]
    cochlea = _spiral((38.0, -4.0, -2.2), (0.6, -0.75, -0.2), turn, 3.4 - 2.6 * rise, 4.2 * rise)
    _tube(scene, side, cochlea, 0.85)


def _spiral(centre: Point, normal: Point, turn: FloatArray, radius: FloatArray, rise: FloatArray) -> FloatArray:
    """(n, 3) points that turn about ``normal``, ``radius`` away from it, and rise along it."""
    axis = np.array(normal) / np.linalg.norm(normal)
    first = np.cross(axis, LATERAL if abs(axis[0]) < 0.5 else UP)
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    round_it = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
    points: FloatArray = centre + radius[:, None] * round_it + rise[:, None] * axis
    return points


def _tube(scene: Scene, side: Side, points: FloatArray, radius: float) -> None:
    """A tube of fluid through points, as a chain of ellipsoids."""
    for start, end in zip(points[:-1], points[1:], strict=True):
        x, y, z = ((start + end) / 2).tolist()
        along = (end - start).tolist()
        length = 0.8 * float(np.linalg.norm(end - start))
        normal = UP if abs(along[2]) < 0.5 * length else LATERAL
        scene.paint(FLUID, side.ellipsoid((x, y, z), (length, radius, radius), tuple(along), normal))


def _air_cells(bone: Ellipsoid, keep_off: list[Ellipsoid], rng: np.random.Generator) -> list[Ellipsoid]:
    """Spheres that touch neither each other nor what else lies in the mastoid, larger ones first."""
    cells: list[Ellipsoid] = []
    centres, radii = np.empty((0, 3)), np.empty(0)
    for radius in CELL_RADII:
        inner = np.subtract(bone.semi_axes, radius + 1.0)
        places = rng.uniform(-1, 1, (CELL_TRIES, 3))
        places = places[np.square(places).sum(1) <= 1] * inner @ np.reshape(bone.axes, (3, 3)).T + bone.centre
        for part in keep_off:
            places = places[part.level(places) > 1 + (radius + 0.4) / min(part.semi_axes)]
        for place in places:
            if np.all(np.square(centres - place).sum(1) > np.square(radii + radius + 0.25)):
                cells.append(Ellipsoid((float(place[0]), float(place[1]), float(place[2])), (radius, radius, radius)))
                centres, radii = np.vstack([centres, place]), np.append(radii, radius)
    return cells


def _middle_ear(scene: Scene, side: Side) -> list[Detail]:
    """The ossicles; the round parts are details."""
    for centre, semi_axes, along in (
        ((48.2, 0.6, -0.6), (3.6, 0.45, 0.45), (0.35, 0.45, -0.85)),  # handle of the malleus
        ((47.3, 4.0, 3.6), (1.9, 0.6, 0.6), (0.2, 0.98, 0.0)),  # short process of the incus
        ((46.2, 2.4, 0.9), (2.6, 0.45, 0.45), (-0.35, -0.1, -0.93)),  # long process of the incus
    ):
        scene.paint(OSSICLE, side.ellipsoid(centre, semi_axes, along, normal=(0.0, 1.0, 0.1)))
    spheres = (
        ("malleus", (47.4, -1.4, 3.6), 2.2),
        ("incus", (47.0, 1.6, 3.6), 1.8),
        ("stapes", (44.6, 0.2, -1.8), 0.8),
    )
    return [_sphere(scene, side, name, centre, diameter, OSSICLE, AIR) for name, centre, diameter in spheres]


def _test_spheres(scene: Scene, side: Side) -> list[Detail]:
    """Rows of air cells and of fluid spaces in the petrous bone, below and above the internal auditory canal."""
    found = []
    for k, diameter in enumerate(DETAIL_DIAMETERS):
        back = 3.6 * k
        for name, hu, start in (("air cell", AIR, (38.0, 4.6, -6.0)), ("fluid", FLUID, (34.5, 2.6, 5.8))):
            centre = (start[0] + PETROUS_AXIS[0] * back, start[1] + PETROUS_AXIS[1] * back, start[2])
            found.append(_sphere(scene, side, f"{name} {diameter} mm", centre, diameter, hu, PETROUS))
    return found


def _sphere(scene: Scene, side: Side, name: str, centre: Point, diameter: float, hu: float, around: float) -> Detail:
    radius = diameter / 2
    scene.paint(hu, side.ellipsoid(centre, (radius, radius, radius)))
    return Detail(f"{side.name} {name}", side.point(*centre), diameter, hu, around)
