"""The modules' .ui files fit their parameter nodes and get the scene. Each fault that is looked for is planted once."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkout import MODULES, ROOT, files, module_scripts
from ui_check import parameter_names, problems

UI_FILES = [file for file in files(*MODULES) if file.suffix == ".ui"]


def test_every_module_has_a_ui_file() -> None:
    assert {file.parts[0] for file in UI_FILES} == set(MODULES)


@pytest.mark.parametrize("file", UI_FILES, ids=str)
def test_ui_file(file: Path) -> None:
    scripts = [script for script in module_scripts() if script.parts[0] == file.parts[0]]
    parameters = parameter_names((ROOT / script).read_text(encoding="utf-8") for script in scripts)
    assert problems((ROOT / file).read_text(encoding="utf-8"), parameters) == []


SCRIPT = """
@parameterPack
class Levels:
    low: float = 0
@parameterNodeWrapper
class SomeParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    strength: Annotated[float, WithinRange(0, 1)] = 1
    levels: Levels
class Other:
    stray: int = 0
"""

UI = """<ui version="4.0"><class>Some</class>
 <widget class="qMRMLWidget" name="Some"><layout class="QVBoxLayout" name="layout">
  <item><widget class="qMRMLNodeComboBox" name="inputSelector">
   <property name="SlicerParameterName" stdset="0"><string>inputVolume</string></property></widget></item>
  <item><widget class="ctkSliderWidget" name="lowSlider">
   <property name="SlicerParameterName" stdset="0"><string>levels.low</string></property></widget></item>
  <item><widget class="QLabel" name="label"><property name="text"><string>strength</string></property></widget></item>
  <item><layout class="QFormLayout" name="form">
   <item row="0" column="0"><widget class="QLabel" name="oneLabel">
    <property name="text"><string>&amp;One</string></property>
    <property name="buddy"><cstring>one</cstring></property></widget></item>
   <item row="0" column="1"><widget class="QComboBox" name="one"/></item>
   <item row="1" column="0"><widget class="QLabel" name="twoLabel">
    <property name="text"><string>&amp;Two</string></property>
    <property name="buddy"><cstring>two</cstring></property></widget></item>
   <item row="1" column="1"><layout class="QHBoxLayout" name="row">
    <item><widget class="QCheckBox" name="two"/></item></layout></item>
   <item row="2" column="0"><widget class="QLabel" name="shownLabel"/></item>
   <item row="2" column="1"><widget class="QLabel" name="shown"/></item>
  </layout></item>
 </layout></widget>
 <customwidgets>
  <customwidget><class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header></customwidget>
  <customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>qMRMLNodeComboBox.h</header></customwidget>
  <customwidget><class>ctkSliderWidget</class><extends>QWidget</extends><header>ctkSliderWidget.h</header></customwidget>
 </customwidgets>
 <connections><connection><sender>Some</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
  <receiver>inputSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections>
</ui>"""


def test_a_good_ui_file_has_no_problems() -> None:
    assert parameter_names([SCRIPT]) == {"inputVolume", "strength", "levels", "levels.low"}
    assert problems(UI, parameter_names([SCRIPT])) == []


@pytest.mark.parametrize(
    ("good", "bad", "problem"),
    [
        (">inputVolume<", ">inputVolumes<", "inputSelector: the parameter node has no field 'inputVolumes'."),
        (">inputVolume<", ">stray<", "inputSelector: the parameter node has no field 'stray'."),
        (">levels.low<", ">levels.high<", "lowSlider: the parameter node has no field 'levels.high'."),
        (
            'name="SlicerParameterName" stdset="0"><string>levels',
            'name="SlicerParameterName"><string>levels',
            'lowSlider: SlicerParameterName needs stdset="0".',
        ),
        (
            '"text"><string>strength',
            '"strength" stdset="0"><string>',
            "label: strength is a property here; a SlicerParameterName was meant.",
        ),
        ('<widget class="qMRMLWidget"', '<widget class="QWidget"', "The root is a QWidget, not a qMRMLWidget."),
        ("<header>ctkSliderWidget.h</header>", "", "ctkSliderWidget is not in customwidgets with a header."),
        ("<class>ctkSliderWidget<", "<class>ctkSlider<", "ctkSliderWidget is not in customwidgets with a header."),
        ("mrmlSceneChanged(vtkMRMLScene*)", "mrmlSceneChanged()", "inputSelector does not get the scene from Some."),
        ("setMRMLScene(vtkMRMLScene*)", "setScene(vtkMRMLScene*)", "inputSelector does not get the scene from Some."),
        ("<sender>Some<", "<sender>Same<", "A connection names Same, and there is no such widget."),
        ("<cstring>one<", "<cstring>two<", "oneLabel: its buddy is none of one."),
        ('<property name="buddy"><cstring>two</cstring></property>', "", "twoLabel: its buddy is none of two."),
        ("&amp;Two", "Tw&amp;o", "twoLabel: Alt+O is taken by oneLabel."),
        ("&amp;One", "On&amp;e", "oneLabel: Alt+E is taken by Slicer's menus."),
    ],
)
def test_a_planted_fault_is_found(good: str, bad: str, problem: str) -> None:
    assert good in UI
    assert problem in problems(UI.replace(good, bad), parameter_names([SCRIPT]))
