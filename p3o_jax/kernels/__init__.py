"""Pallas kernels with the signatures of the plain versions."""
