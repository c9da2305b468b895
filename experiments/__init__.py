"""Command lines: what one runs."""
