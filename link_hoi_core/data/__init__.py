"""Readers of the data sets: annotation files in, boxes in the package's own convention out."""
