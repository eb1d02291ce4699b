# Slicer writes files about the extension for its own use here; they hold none of the extension's files.
