"""Benchmarks of the tuner: quality against peers, latency, ablations."""
