"""The command line with small units and segments, so that a small input has many of them.

python launch.py UNIT_BYTES SEGMENT_BYTES ARGUMENTS...     0 leaves a size as it is
"""

import signal
import sys

import dollymix.build
import dollymix.cli


def main() -> None:
    """Set the sizes and run the command."""
    unit, segment = int(sys.argv[1]), int(sys.argv[2])
    if unit:
        dollymix.build.merge.__kwdefaults__["unit_bytes"] = unit
    for name, module in list(sys.modules.items()):
        if segment and name.startswith("dollymix.") and hasattr(module, "SEGMENT_BYTES"):
            module.SEGMENT_BYTES = segment
    # A shell that runs this in the background hands down an ignored SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["dollymix", *sys.argv[3:]]
    dollymix.cli.main()


if __name__ == "__main__":
    main()
