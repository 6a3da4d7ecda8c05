"""Protocols on maps of features, and on video and sound together: propagation, localisation, synchrony, retrieval."""
