"""Colours of folds: the same number has the same colour on the surface, in frames and in tables."""

import colorsys

import slicer
from slicer.i18n import tr as _

NAME = "FaithfulImaging folds"
COUNT = 256
WALL = (0.85, 0.62, 0.55)
UNMATCHED = COUNT - 1  # a found fold that matches no true one: white, as in the paper
GOLDEN = 0.618034  # of a turn of hue between two numbers: neighbours differ, and none comes again soon


def foldColor(number: int) -> tuple[float, float, float]:
    """RGB, 0 to 1, of a fold's number, from 1 on."""
    return colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.55 + 0.4 * (number % 3) / 2, 1.0 - 0.25 * (number % 2))


def foldColors(wall: bool):
    """The scene's colour table.

    Parameters
    ----------
    wall : bool
        Whether 0 is the wall of a surface, opaque; in frames it is nothing.
    """
    nothing = (_("wall"), *WALL, 1.0) if wall else (_("no fold"), 0.0, 0.0, 0.0, 0.0)
    colors = [nothing, *((_("fold {number}").format(number=k), *foldColor(k), 1.0) for k in range(1, COUNT))]
    if not wall:
        colors[UNMATCHED] = (_("no true fold there"), 1.0, 1.0, 1.0, 1.0)
    return colorTable(f"{NAME} (surface)" if wall else f"{NAME} (frames)", colors)


def colorTable(name: str, colors: list[tuple]):
    """The scene's colour table of a name, made where there is none: of (text, red, green, blue, opacity), from 0 on."""
    node = slicer.mrmlScene.GetFirstNodeByName(name)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
        node.SetTypeToUser()
        node.SetHideFromEditors(True)
        node.SetNumberOfColors(len(colors))
        for number, color in enumerate(colors):
            node.SetColor(number, *color)
    return node
