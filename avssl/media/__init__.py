"""Files: probe, index, read; the only room that knows a decoder."""
