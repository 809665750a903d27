"""The command `python -m auth_service`: serve, `bootstrap`, `remove-development-keys`."""

import asyncio
import functools
import sys
from collections.abc import Sequence
from typing import Final

from auth_service.app import SERVICE, bootstrap, remove_development_keys, serve
from auth_service.core.errors import AlreadyBootstrappedError, AuthError
from auth_service.settings import AuthSettings
from service_runtime.logs import configure_logging
from service_runtime.process import run_service
from service_runtime.settings import load_settings

EXIT_FAILED: Final = 1
EXIT_ALREADY_DONE: Final = 3

_DESCRIPTION: Final = """The auth service of Tidewire: API keys and what they permit, over gRPC and HTTP.

  python -m auth_service                          serve
  python -m auth_service bootstrap                make the first admin key, print it once, end
  python -m auth_service remove-development-keys  make a store of development mode fit for production, end
"""
_COMMANDS: Final = ("bootstrap", "remove-development-keys")


def main(argv: Sequence[str]) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong settings, 3 bootstrapped before."""
    command = argv[0] if argv and argv[0] in _COMMANDS else ""
    settings = load_settings(
        AuthSettings, argv[1:] if command else argv, prog="python -m auth_service", description=_DESCRIPTION
    )
    try:
        if not command:
            return run_service(SERVICE, settings, functools.partial(serve, settings))
        configure_logging(SERVICE, settings)
        if command == "bootstrap":
            sys.stdout.write(asyncio.run(bootstrap(settings)) + "\n")
            sys.stderr.write("first admin key made; it is shown this once only\n")
        else:
            sys.stderr.write(f"{asyncio.run(remove_development_keys(settings))} development keys removed\n")
    except AlreadyBootstrappedError:
        sys.stderr.write(
            f"{SERVICE}: the first admin key of this store was made before and cannot be shown again;"
            " make another with `tidewire keys create` and the service token\n"
        )
        return EXIT_ALREADY_DONE
    except AuthError as error:
        sys.stderr.write(f"{SERVICE}: {error}\n")
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
