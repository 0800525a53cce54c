"""Who supplies documents: retrievers, and how many documents fit. Knows nothing of lm_eval."""
