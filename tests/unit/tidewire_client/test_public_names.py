import inspect
import subprocess
import sys

import pytest

import tidewire_client

CHECK = "import tidewire_client, sys; sys.exit('typer' in sys.modules)"


@pytest.mark.parametrize("name", tidewire_client.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    thing = getattr(tidewire_client, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert inspect.getdoc(thing), f"{name} has no words"
        assert thing.__module__.startswith(("tidewire_client.", "service_runtime.tls_files"))
        if inspect.isclass(thing):
            undocumented = [
                member.__name__
                for _, member in inspect.getmembers(thing, inspect.isfunction)
                if not member.__name__.startswith("_") and not inspect.getdoc(member)
            ]
            assert not undocumented


def test_the_list_is_sorted_and_has_nothing_twice() -> None:
    assert tidewire_client.__all__ == sorted(set(tidewire_client.__all__))


def test_nothing_else_is_public() -> None:
    own = {
        name
        for name, thing in vars(tidewire_client).items()
        if not name.startswith("_") and not inspect.ismodule(thing)
    }
    assert own == set(tidewire_client.__all__)


def test_the_library_does_not_load_the_command() -> None:
    assert subprocess.run([sys.executable, "-c", CHECK], check=False).returncode == 0
