"""Named protocols, metrics, trivial baselines and the table of results."""
