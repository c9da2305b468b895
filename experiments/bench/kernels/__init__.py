"""Benchmarks of the advantage and loss kernels, and their compilation for a GPU."""
