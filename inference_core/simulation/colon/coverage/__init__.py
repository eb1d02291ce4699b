"""How much of the colon's wall was seen, and where folds were marked: frames laid back onto the surface."""
