"""From a colon surface to labelled endoscopy frames: surface, centreline, fold labels, camera, rendering, dataset."""
