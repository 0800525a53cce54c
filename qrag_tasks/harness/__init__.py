"""Where lm_eval, transformers and torch are met: the only folder that imports them."""
