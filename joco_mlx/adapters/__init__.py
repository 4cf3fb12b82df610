"""Adapters of PEFT and of MLX, and what becomes of one on another base than it was trained on."""
