"""Fine-tuning, and linear probes trained on clips, as papers do it: presets, one training, its test, what is kept."""
