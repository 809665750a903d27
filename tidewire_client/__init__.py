"""The Python client of Tidewire: verify keys, administer them, publish, and listen.

Back ends that let key holders in use `KeyVerifier`; those that publish, read or disconnect use `Channels` and `Threads`;
`KeyAdmin` makes and changes keys. These three call the services. `Listener` and `send_message` connect to an edge, as a
browser does. Whatever goes wrong is a `TidewireError`.
"""

from service_runtime.tls_files import TlsFiles
from tidewire_client.audit import AuditAction, AuditEntry, AuditPage
from tidewire_client.channels import (
    Broadcasted,
    Channels,
    HistoryPage,
    Loss,
    Member,
    Published,
    Receipt,
    new_message_id,
)
from tidewire_client.edge_connection import EdgeLogin
from tidewire_client.edge_frames import Frame
from tidewire_client.edge_sender import Confirmed, send_message
from tidewire_client.errors import (
    CallerNotAllowed,
    ConnectionLost,
    ConnectionRefused,
    EtagMismatch,
    FailedPrecondition,
    InvalidRequest,
    KeyNotActive,
    LimitExceeded,
    NotFound,
    ServerFault,
    ServiceTimeout,
    ServiceUnavailable,
    TidewireError,
)
from tidewire_client.key_admin import KeyAdmin
from tidewire_client.key_watch import KeyChanged
from tidewire_client.keys import CreatedKey, Key, KeyPage, KeyState, RotatedKey, VerificationRate
from tidewire_client.listener import Event, Interrupted, Joined, Listener, Lost, Received
from tidewire_client.message import Message, Position
from tidewire_client.threads import Thread, ThreadMessagePage, ThreadPage, Threads
from tidewire_client.verdict import KeyLimits, Verdict, VerdictCode
from tidewire_client.verifier import KeyVerifier, VerifierStats

__all__ = [
    "AuditAction",
    "AuditEntry",
    "AuditPage",
    "Broadcasted",
    "CallerNotAllowed",
    "Channels",
    "Confirmed",
    "ConnectionLost",
    "ConnectionRefused",
    "CreatedKey",
    "EdgeLogin",
    "EtagMismatch",
    "Event",
    "FailedPrecondition",
    "Frame",
    "HistoryPage",
    "Interrupted",
    "InvalidRequest",
    "Joined",
    "Key",
    "KeyAdmin",
    "KeyChanged",
    "KeyLimits",
    "KeyNotActive",
    "KeyPage",
    "KeyState",
    "KeyVerifier",
    "LimitExceeded",
    "Listener",
    "Loss",
    "Lost",
    "Member",
    "Message",
    "NotFound",
    "Position",
    "Published",
    "Receipt",
    "Received",
    "RotatedKey",
    "ServerFault",
    "ServiceTimeout",
    "ServiceUnavailable",
    "Thread",
    "ThreadMessagePage",
    "ThreadPage",
    "Threads",
    "TidewireError",
    "TlsFiles",
    "Verdict",
    "VerdictCode",
    "VerificationRate",
    "VerifierStats",
    "new_message_id",
    "send_message",
]
