"""Offline bundles: the Python packages that the Slicer module needs, as files for a computer without a network."""
