# Slicer writes FaithfulImagingConfig.cmake here; nothing of it is installed.
