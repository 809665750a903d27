"""Each entry of the audit log as a line of the service's log too, told once the change is stored."""

from auth_service.core.audit import AuditEntry
from service_runtime.logs import get_logger

log = get_logger("auth_service.audit")


def tell(entry: AuditEntry) -> None:
    """Write the line: who did what to which key. The reason and the key's fields are in the audit log alone."""
    log.info(f"key {entry.action.value}", key_id=entry.key_id, actor=entry.actor, revision=entry.revision)
