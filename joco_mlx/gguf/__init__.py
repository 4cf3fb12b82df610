"""Weights to one GGUF file that llama.cpp and Ollama run, and back again to check it."""
