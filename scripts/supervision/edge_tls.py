"""How the edge of this machine is asked if it is ready when its public port speaks HTTPS."""

from __future__ import annotations

import ssl


def unverified_context() -> ssl.SSLContext:
    """Return a context that takes any certificate.

    The certificate names the public host, and the edge is asked by its address on this machine; nothing secret is said.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
