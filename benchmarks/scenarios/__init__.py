"""The work that servers are measured on; each module holds one `SCENARIO` and can be run as a benchmark of its name."""
