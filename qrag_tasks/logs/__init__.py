"""lm_eval's results and sample logs, of any task: read back, and written in other forms."""
