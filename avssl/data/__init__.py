"""Items × sampler × transform → batches."""
