"""Objectives that are programs of any language: started by a command line, read by what they print or write."""

from neocarbs_jax.programs.outcome import Reading
from neocarbs_jax.programs.program import BrokenProgram, Program

__all__ = ["BrokenProgram", "Program", "Reading"]
