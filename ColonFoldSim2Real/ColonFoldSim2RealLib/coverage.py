"""Coverage: which of the wall was seen in a dataset's frames, shown on its surface and counted fold by fold."""

from contextlib import ExitStack
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _

from FaithfulImagingLib.job_run import JobRun
from inference_core.scratch import scratch_folder

from .fold_colors import colorTable
from .folds import TABLE_REFERENCE
from .surface import pointArray, readSurface

SEEN = "seen"  # the worker's name of the point array: in how many frames
COLORS_NAME = "FaithfulImaging seen"
STEPS = 64
NEVER, ONCE, OFTEN = (0.75, 0.15, 0.15), (0.75, 0.8, 0.85), (0.1, 0.45, 0.75)


class CoverageRun(JobRun):
    """Lay a dataset's frames back onto its surface.

    Attributes
    ----------
    surfaceNode : vtkMRMLModelNode or None
        The surface with how often each place was seen, once it is there.
    """

    def __init__(self, dataset: Path, masks: Path | None, browser, python: str) -> None:
        """``masks``: folder of segment-folds, to count in how many frames each fold was marked."""
        self.surfaceNode = None
        self._name = dataset.name
        self._files = ExitStack()
        self._output = Path(self._files.enter_context(scratch_folder()), "coverage.vtp")
        job = {"job": "colon-coverage", "dataset": str(dataset), "output": str(self._output)}
        if masks:
            job["masks"] = str(masks)
        super().__init__(job, python, [browser])

    def _take(self, report: dict) -> None:
        self.surfaceNode = showCoverage(readSurface(self._output), _("{name} coverage").format(name=self._name), report)

    def _doneText(self, report: dict) -> str:
        return coverageText(report)

    def _letGo(self) -> None:
        super()._letGo()
        self._files.close()


def showCoverage(surface, name: str, report: dict):
    """Put the surface into the scene, red where it was never seen, with a table of its folds.

    Parameters
    ----------
    surface : vtkPolyData
        RAS, with the point array ``seen``.
    name : str
    report : dict
        Of the job ``colon-coverage``.

    Returns
    -------
    vtkMRMLModelNode
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAndObservePolyData(surface)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetActiveScalar(SEEN, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetAndObserveColorNodeID(_colors().GetID())
    display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
    display.SetScalarRange(0, max(1, int(pointArray(surface, SEEN).max())))
    display.SetScalarVisibility(True)
    display.SetBackfaceCulling(False)
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", _("{name} table").format(name=node.GetName()))
    columns = {"id": _("fold"), "visible_in": _("frames that show it"), "marked_in": _("frames that mark it")}
    for field, title in columns.items():
        values = vtk.vtkIntArray()
        values.SetName(title)
        for fold in report["folds"]:
            values.InsertNextValue(-1 if fold[field] is None else fold[field])
        if any(fold[field] is not None for fold in report["folds"]):
            table.AddColumn(values)
    node.SetNodeReferenceID(TABLE_REFERENCE, table.GetID())
    return node


def coverageText(report: dict) -> str:
    """What was seen and what never, for the user."""
    parts = [
        _("Seen: {seen:.0f} of {total:.0f} cm2 ({share:.0%}); never seen: {never:.0f} cm2.").format(
            seen=report["seen_cm2"], total=report["total_cm2"], share=report["share"], never=report["never_seen_cm2"]
        )
    ]
    visible = [fold for fold in report["folds"] if fold["visible_in"]]
    parts.append(_("{seen} of {all} folds came into view.").format(seen=len(visible), all=len(report["folds"])))
    if report["masks"]:
        frames, marked = (sum(fold[name] for fold in visible) for name in ("visible_in", "marked_in"))
        parts.append(
            _("A fold in view was marked in {marked} of {frames} cases ({share:.0%}).").format(
                marked=marked, frames=frames, share=marked / max(frames, 1)
            )
        )
    return " ".join(parts)


def _colors():
    parts = (k / (STEPS - 1) for k in range(1, STEPS))
    seen = (((1 - part) * a + part * b for a, b in zip(ONCE, OFTEN, strict=True)) for part in parts)
    return colorTable(COLORS_NAME, [(_("never seen"), *NEVER, 1.0), *((_("seen"), *color, 1.0) for color in seen)])
