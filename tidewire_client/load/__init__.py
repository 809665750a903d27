"""Load on a gateway that runs, and what it did under it: for the command `tidewire load`.

`plan` is what crosses between processes. `worker` is a load process, with many `client`s; `fleet` starts them and talks to
them; `stage` is one run; `scenarios` say what happens in it; `result` is what was found, which `report` shows.
"""
