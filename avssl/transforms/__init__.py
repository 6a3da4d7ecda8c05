"""How it looks: numbers drawn into a plan, then pixels changed in batches."""
