"""A comparison as tables: one module a form."""
