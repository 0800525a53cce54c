"""The embedded sample: rows of made-up users in the hub's form.

What models score on it means nothing.
"""
