"""PersonaMem for qrag-tasks: questions over a long history of chats (arXiv 2504.14225)."""
