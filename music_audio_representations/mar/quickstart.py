"""What was `python -m mar.quickstart` is `python -m examples.miniature.dataset`, in the clone."""

import sys


def main() -> int:
    """Names the successor."""
    print(
        "error: mar.quickstart is now python -m examples.miniature.dataset, in the clone, with the "
        "same flags",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
