"""What the slicer-core wheel lacks of Slicer's own Python, as far as the module's logic needs it.

With SLICER_PYTHON set to the folder Base/Python/slicer of a Slicer source tree, Slicer's own files are used instead.
"""

from __future__ import annotations

import enum
import os
import sys
import types
import typing
from unittest.mock import MagicMock

QT_CLASSES_ON_SLICER = (
    "qMRMLNodeComboBox", "qMRMLSliderWidget", "qMRMLSpinBox", "qMRMLRangeWidget", "qMRMLSubjectHierarchyTreeView",
    "qMRMLSubjectHierarchyComboBox", "qMRMLWidget",
)  # fmt: skip


def install(slicer) -> None:
    """Make ``from slicer.i18n import tr`` and the like work."""
    own = os.environ.get("SLICER_PYTHON")
    if own:
        sys.modules["qt"], sys.modules["ctk"] = MagicMock(), MagicMock()
        for name in QT_CLASSES_ON_SLICER:
            setattr(slicer, name, type(name, (), {}))
        slicer.__path__.append(own)
        return
    _module(slicer, "i18n", tr=lambda text: text, translate=lambda context, text: text)
    _module(slicer, "ScriptedLoadableModule", ScriptedLoadableModuleLogic=ScriptedLoadableModuleLogic)
    _module(slicer, "parameterNodeWrapper", WithinRange=WithinRange, parameterNodeWrapper=parameterNodeWrapper)


def _module(slicer, name: str, **content) -> None:
    module = types.ModuleType(f"slicer.{name}")
    vars(module).update(content)
    sys.modules[module.__name__] = module
    setattr(slicer, name, module)


class ScriptedLoadableModuleLogic:
    """The part that hands out the scene's parameter node."""

    def getParameterNode(self):
        import slicer

        name = type(self).__name__.removesuffix("Logic")
        node = slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(name)
            node.SetAttribute("ModuleName", name)
            node = slicer.mrmlScene.AddNode(node)
        return node


class WithinRange:
    """A range that a number must lie in."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum


def parameterNodeWrapper(described: type) -> type:
    """A class whose attributes are kept in a parameter node: nodes as references, all else as text."""
    hints = typing.get_type_hints(described, include_extras=True)
    defaults = {name: getattr(described, name, None) for name in hints}

    def __init__(self, parameterNode) -> None:
        self.parameterNode = parameterNode

    content = {name: _attribute(name, hint, defaults[name]) for name, hint in hints.items()}
    return type(described.__name__, (), {"__init__": __init__, "__doc__": described.__doc__, **content})


def _attribute(name: str, hint, default) -> property:
    kind, *annotations = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
    if typing.get_origin(kind) is typing.Union:
        kind = typing.get_args(kind)[0]
    if kind.__name__.startswith("vtkMRML"):
        return property(
            lambda self: self.parameterNode.GetNodeReference(name),
            lambda self, node: self.parameterNode.SetNodeReferenceID(name, node.GetID() if node else None),
        )

    def get(self):
        text = self.parameterNode.GetParameter(name)
        if text == "":
            return default
        return kind[text] if issubclass(kind, enum.Enum) else kind(text)

    def put(self, value) -> None:
        for annotation in annotations:
            if not annotation.minimum <= value <= annotation.maximum:
                raise ValueError(f"{value} is not within {annotation.minimum} and {annotation.maximum}")
        self.parameterNode.SetParameter(name, value.name if isinstance(value, enum.Enum) else str(value))

    return property(get, put)
