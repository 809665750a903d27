"""Lets operators in at the auth service's own admin port: it decides itself."""

from auth_service.core.errors import CallerNotAllowedError, CallerUnknownError, StoreUnavailableError
from auth_service.core.permissions import ADMIN
from auth_service.core.verification import Use
from auth_service.core.verifier import Verifier
from service_runtime.debugging.admission import RESOURCE, Refused, unknown_key


class DebugAccess:
    """Implements `service_runtime.debugging.admission.Admission`.

    Args:
        verifier: decides.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def admit(self, api_key: str, address: str) -> str:
        """Return the id of a key that is good and permits `admin:debug` everywhere; raises Refused."""
        try:
            return await self._verifier.admit(api_key, Use(action=ADMIN, channel=RESOURCE))
        except CallerUnknownError:
            raise unknown_key() from None
        except CallerNotAllowedError as error:
            raise Refused(403, "permission_denied", f"Permission denied: {error}") from None
        except StoreUnavailableError:
            message = "The key store does not answer, and without it nothing is known of the key"
            raise Refused(503, "unavailable", message, retry_after_s=1) from None
