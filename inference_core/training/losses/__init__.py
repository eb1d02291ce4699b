"""Losses, one idea a file: a function, and a Module twin that holds its settings."""
