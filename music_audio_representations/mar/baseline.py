"""What was `python -m mar.baseline` is `python -m mar.embed --model logmel_mean`."""

import sys


def main() -> int:
    """Names the successor."""
    print(
        "error: mar.baseline is now python -m mar.embed --model logmel_mean (or MTT_musicnn, "
        "MSD_musicnn, random), with the flags of mar.embed",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
