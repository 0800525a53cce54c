"""The engine that runs a model through vLLM: one continuous batch, and a cache of prefixes."""
