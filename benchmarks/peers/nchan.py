"""nginx with the nchan module: one worker, messages in its shared memory."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.load.plan import Client, Frame
from benchmarks.peers.base import Peer, free_port, listens

_PROGRAM: Final = "nginx"
_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_CONFIGURATION: Final = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
error_log stderr warn;
pid nginx.pid;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  nchan_shared_memory_size 256M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ /subscribe/(.+)$ {{
      nchan_subscriber websocket;
      nchan_channel_id $1;
      nchan_channel_id_split_delimiter ",";
      nchan_subscriber_first_message newest;
    }}
    location ~ /publish/(.+)$ {{
      nchan_publisher websocket;
      nchan_channel_id $1;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 1m;
    }}
  }}
}}
"""
_FILES: Final = 20_000


class Nchan(Peer):
    """One nginx without authentication; a client without channels waits on one of its own."""

    name: ClassVar[str] = "nchan"

    def missing(self) -> str | None:
        """See `Peer.missing`."""
        if shutil.which(_PROGRAM) is None or not _MODULE.exists():
            return "nginx with nchan (Debian packages nginx and libnginx-mod-nchan)"
        return None

    def version(self) -> str:
        """See `Peer.version`."""
        return subprocess.run([_PROGRAM, "-v"], capture_output=True, text=True, check=True).stderr.strip()

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Peer.start`."""
        self._port = free_port()
        text = _CONFIGURATION.format(module=_MODULE, files=_FILES, port=self._port)
        (directory / "nginx.conf").write_text(text)
        self._server = self._launch([_PROGRAM, "-p", str(directory), "-c", "nginx.conf"], directory)
        self._wait(lambda: listens(self._port), directory, "listening")

    def subscriber(self, number: int, channels: Sequence[str]) -> Client:
        """See `Peer.subscriber`."""
        return Client(self._port, f"/subscribe/{','.join(channels) or f'idle-{number}'}")

    def publisher(self, number: int, channel: str) -> Client:
        """See `Peer.publisher`."""
        return Client(self._port, f"/publish/{channel}")

    def message(self, channel: str, text: str) -> Frame:
        """See `Peer.message`."""
        return Frame.text(text)

    def parts(self) -> Mapping[str, int]:
        """See `Peer.parts`."""
        return {"server": self._server.pid}
