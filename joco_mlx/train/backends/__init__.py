"""What can train here beside MLX: TRL and Unsloth in this tool, Axolotl from files that it writes."""
