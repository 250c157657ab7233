"""One recording is made: samplers and oracles side by side, on one clock."""
