"""Sample in, prompt out: rankings, styles, what fits, markers, protocols. Knows no lm_eval."""
