"""From a pose to a frame: camera, light, tissue and lens, with depth and labels."""
