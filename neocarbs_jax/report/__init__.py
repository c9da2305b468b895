"""What people look at: figures, the report, and the display of a running sweep."""
