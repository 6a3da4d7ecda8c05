"""The zoo: frame, clip and sound encoders, and heads."""
