"""`joco-mlx`, and `python -m joco_mlx`: the command line, which Ctrl-C ends quietly while it is still being read too."""

import sys


def main() -> None:
    """Read the command line's modules, which takes a moment, and run them."""
    try:
        from joco_mlx.cli.main import main as run  # noqa: PLC0415  (an interruption of the import ends quietly)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
