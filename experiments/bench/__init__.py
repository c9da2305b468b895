"""Benchmarks: they run from the repository and are not installed."""
