"""What the difference between two arms is, and how sure that is."""
