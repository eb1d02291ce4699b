"""What the LowDoseDenoise module is made of; nothing here is needed to denoise without Slicer (see inference_core)."""
