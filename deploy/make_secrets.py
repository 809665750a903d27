#!/usr/bin/env python3
"""Makes the secrets that the Compose files mount, each in a file of its own; one that is there is never replaced.

python3 deploy/make_secrets.py [FOLDER]      default: deploy/secrets
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

SECRET_BYTES = 32


def contents() -> Mapping[str, str]:
    """Return what each file is to hold."""
    redis_password = secrets.token_hex(SECRET_BYTES)
    return {
        "service_token": secrets.token_hex(SECRET_BYTES),
        "pepper": f"1:{secrets.token_hex(SECRET_BYTES)}",
        # One belongs to the other: they are made together.
        "redis.conf": f"requirepass {redis_password}\n",
        "redis_url": f"redis://:{redis_password}@redis:6379",
        "grafana_password": secrets.token_hex(SECRET_BYTES),
    }


def main(folder: Path) -> int:
    """Make what is missing; returns the exit code."""
    made = contents()
    if len({(folder / name).exists() for name in ("redis.conf", "redis_url")}) == 2:
        sys.stderr.write(f"{folder}: redis.conf and redis_url belong together, and one is missing\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Containers run as other users, and see the files only: on this machine the folder keeps them from others.
    folder.chmod(0o700)
    for name, text in made.items():
        file = folder / name
        if file.exists():
            sys.stdout.write(f"{file} is there\n")
            continue
        file.write_text(text)
        file.chmod(0o444)
        sys.stdout.write(f"{file} made\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "secrets"))
