"""Watching and playing: players as pure functions, one game on the host, and the local page that shows it."""
