"""What LaMP is: tasks, data, prompts, answers, scores. Knows nothing of lm_eval or retrieval."""
