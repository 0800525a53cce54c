"""LaMP: its table of tasks, prompts, queries, files, leaks, and the sample `mini`."""
