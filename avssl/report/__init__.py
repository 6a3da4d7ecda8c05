"""Figures and one self-contained page, from the files of a run."""
