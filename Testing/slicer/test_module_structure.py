"""The search for lost structure, through the worker's process, into a label map."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from module_helpers import OBLIQUE, until
from test_module_measure import RIGID, put_under

SHAPE = (3, 90, 100)


@pytest.fixture
def pair(slicer):
    """A noisy volume with a small bone, and one from which noise and bone were taken."""
    from LowDoseDenoiseLib.belonging import setMadeFrom

    clean = np.zeros(SHAPE)
    clean[1, 40:45, 60:65] = 900
    before = np.rint(clean + np.random.default_rng(0).normal(0, 60, SHAPE)).astype(np.int16)
    volumes = [
        slicer.util.addVolumeFromArray(voxels, ijkToRAS=OBLIQUE, name=name)
        for name, voxels in (("CT", before), ("CT denoised", np.zeros(SHAPE, np.int16)))
    ]
    setMadeFrom(volumes[1], volumes[0])
    return volumes


def searched(volumes):
    from LowDoseDenoiseLib.structure import StructureSearch

    search = StructureSearch(*volumes, sys.executable)
    until(lambda: (search.poll(), not search.running)[1])
    return search


def test_an_erased_bone_is_marked_where_it_was(slicer, pair):
    from LowDoseDenoiseLib.structure import findsOf, goTo, showStructure, structureOf, structureText

    put_under(slicer, pair[0], RIGID)
    pair[1].SetAndObserveTransformNodeID(pair[0].GetTransformNodeID())
    search = searched(pair)
    assert search.error is None
    assert search.fraction == 1
    labels = search.labelVolume
    assert structureOf(pair[1]) is labels
    marked = np.argwhere(slicer.util.arrayFromVolume(labels) > 0)
    assert len(marked) > 3
    assert (np.abs(marked - [1, 42, 62]) <= [0, 9, 9]).all()
    finds = findsOf(labels)
    assert finds["regions"] == 1
    assert "1 places" in structureText(finds)
    assert structureText({**finds, "regions": 0}).startswith("Nothing found")

    views = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode") for _ in range(2)]
    slices = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
    showStructure(labels, True)
    assert [view.GetLabelVolumeID() for view in views] == [labels.GetID()] * 2
    showStructure(labels, False)
    assert [view.GetLabelVolumeID() for view in views] == [None] * 2
    assert goTo(labels, 3).startswith("Find 1 of 1: something bright is gone or fainter")
    place = RIGID @ OBLIQUE @ [*finds["strongest"][0]["index"][::-1], 1]
    to_ras = slices.GetSliceToRAS()
    across = [to_ras.GetElement(row, 2) * (to_ras.GetElement(row, 3) - place[row]) for row in range(3)]
    assert sum(across) == pytest.approx(0, abs=1e-3)

    assert searched(pair).labelVolume is labels  # it is replaced, not doubled
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 1


def test_a_search_ends_with_the_volumes_it_was_for(slicer, pair):
    from LowDoseDenoiseLib.structure import StructureSearch

    search = StructureSearch(*pair, sys.executable)
    slicer.mrmlScene.RemoveNode(pair[1])
    until(lambda: (search.poll(), not search.running)[1])
    assert search.labelVolume is search.error is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 0


def test_only_a_result_of_the_input_is_searched(slicer, pair, ct):
    from LowDoseDenoiseLib.structure import StructureSearch

    from inference_core.errors import UserError

    for output in (None, ct(shape=SHAPE, name="another")):
        with pytest.raises(UserError, match="no denoised volume") as refused:
            StructureSearch(pair[0], output, sys.executable)
        assert refused.value.remedy


def test_damaged_finds_are_none(slicer, pair):
    from LowDoseDenoiseLib.structure import STRUCTURE_ATTRIBUTE, findsOf

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    for text in (None, "", "{", "[]", '{"regions": 3}'):
        node.SetAttribute(STRUCTURE_ATTRIBUTE, text)
        assert findsOf(node) is None
