"""Haustral folds in endoscopy frames: from a network's logits to instances that keep their colour through a video."""
