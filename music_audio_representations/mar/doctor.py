"""Tells what is installed, and what is wrong with it: versions, backends, cards, codecs, the cache.

    mar doctor

Prints a line for each thing. One that begins with !! is wrong, and ends with the remedy. The exit
code is 0 where nothing is wrong, and 2 where something is.
"""

from mar.errors import ConfigError
from mar.util import cli

FLAGS = cli.flags.FLAGS
cli.define_json_flag()


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    from mar import installation

    findings = []
    for finding in installation.examined():
        findings.append(finding)
        cli.say(finding)
    cli.summarize(findings=[finding._asdict() for finding in findings])
    return 2 if any(finding.remedy for finding in findings) else 0


if __name__ == "__main__":
    cli.run(main)
