"""Outputs that no lm_eval wrote, made into results that are compared as any others."""
