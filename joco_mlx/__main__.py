"""`python -m joco_mlx` is `joco-mlx`."""

from joco_mlx.cli.main import main

if __name__ == "__main__":
    main()
