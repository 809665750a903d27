"""The npm packages: format, lint, types, unit tests and build, each by the script that developers run."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.npm import CLIENT, DEADLINE_S, FRONTEND, program, run_script
from tests.support.processes import ROOT

# No client without a name; the types hold without those of the DOM and of Node.js.
USE = """import { TidewireClient, TidewireError, type Delivery, type ServerFrame } from "tidewire-client";
declare const console: { log(text: string): void };
export const publish = (client: TidewireClient): Promise<Delivery> => client.publish("general", { content: 1 });
export const typeOf = (frame: ServerFrame): string => (frame.type === "error" ? frame.data.error_type : frame.type);
try {
  new TidewireClient({ url: "ws://edge", clientId: "", apiKey: "key", WebSocket: class {} as never });
} catch (error) {
  console.log(error instanceof TidewireError ? error.errorType : "something else");
}
"""

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("script", ["lint", "types", "test"])
def test_client(script: str) -> None:
    run_script(CLIENT, script)


def ran(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(built_client: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the package is installed as it would come from a registry."""
    folder = tmp_path_factory.mktemp("installed")
    # Built already, and not again: another test process may be using it.
    ran(program("npm"), "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), cwd=CLIENT)
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        packed.extractall(folder, filter="data")
    (folder / "node_modules").mkdir()
    shutil.move(folder / "package", folder / "node_modules" / "tidewire-client")
    return folder


def test_what_is_published(installed: Path) -> None:
    package = installed / "node_modules" / "tidewire-client"
    names = {path.relative_to(package).as_posix() for path in package.rglob("*")}
    assert {"dist/index.js", "dist/index.d.ts", "src/index.ts", "README.md", "LICENSE", "package.json"} <= names
    assert {name.split("/")[0] for name in names} == {"dist", "src", "README.md", "LICENSE", "package.json"}


def test_node_and_typescript_can_use_it(installed: Path) -> None:
    (installed / "use.mts").write_text(USE)
    compiler = FRONTEND / "node_modules" / "typescript" / "bin" / "tsc"
    options = ["--module", "nodenext", "--target", "es2022", "--strict", "--lib", "es2022"]
    ran(program("node"), str(compiler), *options, "use.mts", cwd=installed)
    assert ran(program("node"), "use.mjs", cwd=installed) == "invalid_argument\n"


def test_lock_names_no_registry() -> None:
    locked = json.loads((FRONTEND / "package-lock.json").read_text())["packages"]
    assert not [name for name, entry in locked.items() if str(entry.get("resolved", "")).startswith("http")]


def test_licence_is_that_of_the_project() -> None:
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
