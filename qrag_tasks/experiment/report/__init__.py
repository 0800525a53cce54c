"""One self-contained page that shows a comparison, down to every sample."""
