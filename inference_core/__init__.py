"""Faithful Imaging without a window: denoise, measure, simulate and train, with or without 3D Slicer.

Importing this package costs numpy at most; SimpleITK, onnxruntime, torch and the rest are imported where they are used.
"""

__version__ = "0.1.0"
