"""The names of lm_eval and of the model libraries that are replaced or read here: the table."""
