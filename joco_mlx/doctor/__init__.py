"""What this machine can do, and how to repair what it cannot."""
