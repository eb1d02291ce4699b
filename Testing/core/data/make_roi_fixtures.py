"""Write the ROI files of this folder with Slicer's own code; only synthetic shapes are in them.

Run it in an environment with slicer-core 5.13 (pip install slicer-core); the tests do not need it.
"""

import json
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

HERE = Path(__file__).parent
scene = slicer.mrmlScene = slicer.vtkMRMLScene()
application = slicer.vtkSlicerApplicationLogic()
application.SetMRMLScene(scene)
kept = []
for module in ("TerminologiesModule", "SegmentationsModule", "Markups", "Transform"):
    logic = getattr(slicer, f"vtkSlicer{module}Logic")()
    logic.SetMRMLApplicationLogic(application)
    application.SetModuleLogic(module.removesuffix("Module"), logic)
    logic.SetMRMLScene(scene)
    kept.append(logic)


def rigid(x_degrees, z_degrees, translation):
    """A vtkMatrix4x4 in RAS."""
    transform = vtk.vtkTransform()
    transform.Translate(translation)
    transform.RotateX(x_degrees)
    transform.RotateZ(z_degrees)
    return transform.GetMatrix()


def save(node, kind, name, coordinate_system=None):
    storage = scene.AddNewNodeByClass(f"vtkMRML{kind}StorageNode")
    storage.SetFileName(str(HERE / name))
    if coordinate_system is not None:
        storage.SetCoordinateSystem(coordinate_system)
    assert storage.WriteData(node)


def planes_lps(roi):
    """Slicer's planes around the ROI in the patient, normals outwards, LPS."""
    planes = vtk.vtkPlanes()
    roi.GetTransformedPlanes(planes)
    to_lps = np.array([-1, -1, 1])
    return [
        {"normal": (to_lps * planes.GetNormals().GetTuple(i)).tolist(),
         "origin": (to_lps * planes.GetPoints().GetPoint(i)).tolist()}
        for i in range(6)
    ]  # fmt: skip


roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "roi")
roi.SetAndObserveObjectToNodeMatrix(rigid(25, -40, (3, -7, 11)))
roi.SetSize(20, 13, 9)
save(roi, "MarkupsROIJson", "roi_lps.mrk.json", slicer.vtkMRMLStorageNode.CoordinateSystemLPS)
save(roi, "MarkupsROIJson", "roi_ras.mrk.json", slicer.vtkMRMLStorageNode.CoordinateSystemRAS)
expected = {"alone": planes_lps(roi)}
transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "transform")
transform.SetMatrixTransformToParent(rigid(-50, 15, (5, 4, -6)))
roi.SetAndObserveTransformNodeID(transform.GetID())
expected["under transform"] = planes_lps(roi)
for ending in ("tfm", "h5"):
    save(transform, "Transform", f"roi_transform.{ending}")
(HERE / "roi_planes.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")

k, j, i = np.mgrid[0:20, 0:24, 0:28]
shapes = {
    "Brain": (i - 12) ** 2 + (j - 10) ** 2 + (k - 9) ** 2 <= 36,
    "Bone ä": (abs(i - 15) <= 5) & (abs(j - 10) <= 3) & (abs(k - 9) <= 4),  # overlaps Brain: a layer of its own
    "Air": (abs(i - 22) <= 2) & (abs(j - 18) <= 2) & (abs(k - 15) <= 2),
    "Nothing": np.zeros(k.shape, bool),
}
geometry = vtk.vtkMatrix4x4()
vtk.vtkMatrix4x4.Multiply4x4(rigid(20, 30, (10, -20, 30)), geometry, geometry)
for axis, spacing in enumerate((0.8, 1.1, 2.0)):
    for row in range(3):
        geometry.SetElement(row, axis, geometry.GetElement(row, axis) * spacing)
segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
for name, mask in shapes.items():
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(mask.shape[::-1])
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = mask.ravel()
    image.SetGeometryFromImageToWorldMatrix(geometry)
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.AddRepresentation("Binary labelmap", image)
    segmentation.GetSegmentation().AddSegment(segment)
segmentation.GetSegmentation().CollapseBinaryLabelmaps(False)
save(segmentation, "Segmentation", "overlap.seg.nrrd")
