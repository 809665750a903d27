"""`python -m tidewire_client.cli`: the command `tidewire` where it is not on the path."""

from tidewire_client.cli.main import main

if __name__ == "__main__":
    main()
