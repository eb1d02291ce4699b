"""Frames on disk: how they are filmed, written, resumed and read again."""
