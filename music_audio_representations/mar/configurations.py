"""Lists the configurations that are shipped, or shows one, to be copied and changed.

    mar configs
    mar configs show musicset_ularge > mine.yaml

Each can be named where a command takes --config: mar train --config musicset_ularge.
"""

import sys

from mar.errors import ConfigError
from mar.util import cli, shipped


def main(argv: list[str]) -> int:
    match argv[1:]:
        case []:
            for name, path in shipped.configurations().items():
                first = path.read_text(encoding="utf-8").partition("\n")[0]
                print(f"{name:<40} {first.lstrip('# ')}")
        case ["show", name]:
            sys.stdout.write(shipped.configuration(name).read_text(encoding="utf-8"))
        case other:
            raise ConfigError(f"expected nothing, or show and a name, got {' '.join(other)}")
    return 0


if __name__ == "__main__":
    cli.run(main)
