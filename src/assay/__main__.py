"""The `assay` command, which `python -m assay` is as well."""

import sys


def run() -> int:
    """Run the words of the command line, and give the exit code: 130 for Ctrl-C at any time, also
    while modules are loaded, or pressed again while the first is answered."""
    try:
        from assay.cli.main import main

        return main()
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
