"""Where the folds are on a mesh."""
