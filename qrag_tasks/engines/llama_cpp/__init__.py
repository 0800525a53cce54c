"""The engine that runs GGUF files in llama.cpp, through llama-cpp-python."""
