"""The way through the colon: lumen, centreline, and how the endoscope moves along it."""
