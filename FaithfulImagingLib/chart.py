"""Numbers as MRML plot charts: one chart of a kind in a scene, filled anew each time."""

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

PLOT_ATTRIBUTE = "FaithfulImaging.plot"
COLORS = ((0.45, 0.45, 0.45), (0.0, 0.35, 0.75), (0.85, 0.45, 0.1))


@dataclass(frozen=True)
class PlotData:
    """Numbers to plot.

    Attributes
    ----------
    kind : str
        By which the chart is found again.
    name : str
        Of the chart and its table in the scene.
    title, xTitle, yTitle : str
    x : (n,) array
    series : dict
        (n,) arrays by their name in the legend, in the order of :data:`COLORS`.
    labels : list of str or None
        Of the bars of a bar chart, in place of ``x``.
    """

    kind: str
    name: str
    title: str
    xTitle: str
    yTitle: str
    x: np.ndarray
    series: dict
    labels: list | None = None


def showInChart(data: PlotData):
    """Put numbers into the scene's chart of their kind, made where there is none.

    Returns
    -------
    vtkMRMLPlotChartNode
    """
    chart = next(
        (node for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
         if node.GetAttribute(PLOT_ATTRIBUTE) == data.kind), None,
    )  # fmt: skip
    if chart is None:
        chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", data.name)
        chart.SetAttribute(PLOT_ATTRIBUTE, data.kind)
    series = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
    table = series[0].GetTableNode() if series and series[0] else None
    if table is None:
        table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", data.name)
    _fillTable(table, data)
    wasModified = chart.StartModify()
    chart.RemoveAllPlotSeriesNodeIDs()
    for old in series:
        if old and old.GetName() not in data.series:
            slicer.mrmlScene.RemoveNode(old)
    old = {node.GetName(): node for node in series if node and node.GetScene()}
    for name, color in zip(data.series, COLORS, strict=False):
        node = old.get(name) or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
        _setSeries(node, table, name, data, color)
        chart.AddAndObservePlotSeriesNodeID(node.GetID())
    chart.SetTitle(data.title)
    chart.SetXAxisTitle(data.xTitle)
    chart.SetYAxisTitle(data.yTitle)
    chart.EndModify(wasModified)
    return chart


def _fillTable(table, data: PlotData) -> None:
    wasModified = table.StartModify()
    table.RemoveAllColumns()
    columns = {data.xTitle or _("Number"): data.x, **data.series}
    for name, values in columns.items():
        array = vtk.vtkDoubleArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(float(value))
        table.AddColumn(array)
    if data.labels is not None:
        names = vtk.vtkStringArray()
        names.SetName(_("ROI"))
        for label in data.labels:
            names.InsertNextValue(label)
        table.AddColumn(names)
    table.EndModify(wasModified)


def _setSeries(node, table, name: str, data: PlotData, color: tuple) -> None:
    node.SetAndObserveTableNodeID(table.GetID())
    node.SetXColumnName(data.xTitle or _("Number"))
    node.SetYColumnName(name)
    node.SetLabelColumnName(_("ROI") if data.labels is not None else "")
    node.SetPlotType(node.PlotTypeBar if data.labels is not None else node.PlotTypeScatter)
    node.SetMarkerStyle(node.MarkerStyleNone)
    node.SetLineWidth(2)
    node.SetColor(*color)
