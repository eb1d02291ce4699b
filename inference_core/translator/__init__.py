"""Simulated endoscopy frames in another look: a network's pictures, the simulator's truth."""
