"""The embedded sample: made-up users in PersonaMem's two files, and what makes them."""
