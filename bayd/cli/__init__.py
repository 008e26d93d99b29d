"""The command line.

Exit codes: 0 done, 1 failed, 2 usage, 69 a service is not to be reached, 78 the configuration is wrong.
"""

from bayd.cli.main import main

__all__ = ["main"]
