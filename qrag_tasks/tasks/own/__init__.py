"""Anyone's own documents and questions: one file, ``corpus.toml``, says what they are."""
