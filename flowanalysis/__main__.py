"""``python -m flowanalysis`` is the command ``flowanalysis``."""

from flowanalysis.cli import main

if __name__ == "__main__":
    main()
