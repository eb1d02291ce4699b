"""What the extension's Slicer modules have in common."""
