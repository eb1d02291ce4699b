"""Parts of the module ColonFoldSim2Real."""
