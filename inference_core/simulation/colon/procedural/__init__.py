"""A made haustral colon with the exact truth of its folds."""
