"""Files, names and revisions: what every layer may use."""
