"""What is asked: tasks, data, prompts and scores. Knows nothing of lm_eval or retrieval."""
