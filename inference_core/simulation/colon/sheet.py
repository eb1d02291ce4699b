"""What the sheets of pictures have in common: pixels of room, and colours."""

GAP = 8
MARGIN = 28
GROUND, INK, FAINT = (17, 19, 23), (236, 238, 240), (148, 154, 162)
