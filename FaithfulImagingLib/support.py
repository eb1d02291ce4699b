"""What a bug report needs to know of this installation and of the last run; nothing of a patient."""

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version

import slicer

from inference_core import __version__

PACKAGES = (
    "numpy",
    "onnxruntime",
    "torch",
    "SimpleITK",
    "pydicom",
    "PyWavelets",
    "safetensors",
    "libigl",
    "scikit-image",
    "av",
)
LOG_LINES = 40
OURS = re.compile(
    r"\"[^\"\n]*[\\/]((?:inference_core|FaithfulImagingLib|LowDoseDenoiseLib|ColonFoldSim2RealLib)[\\/][\w\\/.]+\.py)\""
)
FOLDERS = r"[\\/][^\s\"'<>|:,;]*(?: [^\s\"'<>|:,;/\\]*[\\/][^\s\"'<>|:,;]*)*"
PATH = re.compile(r"(?<!\w)(?:[A-Za-z]:|file:/|~|\.{1,2})?" + FOLDERS)
QUOTED = re.compile(r"(['\"])[^'\"\n]*[\\/][^'\"\n]*\1")
UID = re.compile(r"\b\d+(?:\.\d+){5,}\b")


def supportText(settings: list[str], run, doneText=None) -> str:
    """The report as text.

    Parameters
    ----------
    settings : list of str
        Lines about what is chosen; the caller puts no name and no path in.
    run : JobRun or None
        The last one.
    doneText : callable, optional
        ``doneText(report)``, a line about a run that succeeded; by default only how long it took.
    """
    lines = [
        f"Faithful Imaging {__version__}, {_application()}",
        f"{platform.system()} {platform.release()} {platform.machine()}, Python {sys.version.split()[0]}",
        ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        f"{os.cpu_count()} cores, {_memory()}",
        *settings,
    ]
    lines += ["", *(_run(run, doneText or _tookText) if run else ["no run yet"])]
    return "\n".join(lines) + "\n"


def withoutNames(text: str) -> str:
    """A line without paths, without names of anything in the scene, without UIDs."""
    kept: list[str] = []

    def keep(match) -> str:
        kept.append(match.group(1).replace("\\", "/"))
        return f"\0{len(kept) - 1}\0"

    text = OURS.sub(keep, text)
    text = QUOTED.sub("<path>", text)
    text = PATH.sub("<path>", text)
    text = UID.sub("<uid>", text)
    for name in sorted(_names(), key=len, reverse=True):
        text = text.replace(name, "<name>")
    return re.sub("\0(\\d+)\0", lambda match: kept[int(match.group(1))], text)


def _names() -> set[str]:
    names = {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode") if node.GetName()}
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if hierarchy:
        import vtk

        items = vtk.vtkIdList()
        hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
        names |= {hierarchy.GetItemName(items.GetId(index)) for index in range(items.GetNumberOfIds())}
    return {name for name in names if len(name) > 1}


def _application() -> str:
    app = getattr(slicer, "app", None)
    return f"Slicer {app.applicationVersion} revision {app.revision}" if app else "no application"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _memory() -> str:
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        whole = page * os.sysconf("SC_PHYS_PAGES")
        free = page * os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else None
    except (AttributeError, ValueError, OSError):  # Windows
        return "memory unknown"
    return f"{whole / 1e9:.1f} GB memory" + (f", {free / 1e9:.1f} GB free" if free else "")


def _tookText(report: dict) -> str:
    return f"done in {report.get('time_s', '?')} s"


def _run(run, doneText) -> list[str]:
    if run.running:
        return [f"a run is at {run.fraction:.0%}"]
    if run.error:
        lines = [f"the last run failed: {run.error.code}: {withoutNames(run.error.message)}"]
    elif run.report:
        lines = [f"the last run: {withoutNames(doneText(run.report))}"]
    else:
        lines = [f"the last run: {withoutNames(run.status)}"]
    return [*lines, "log:" if run.log else "nothing in the log", *(withoutNames(line) for line in run.log[-LOG_LINES:])]
