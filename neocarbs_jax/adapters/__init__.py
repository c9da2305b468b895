"""Doors from other worlds: samplers and search algorithms of other tuners."""
