"""Where Tidewire's CPU time goes in a scenario: py-spy's samples, by function, and the kernel's books."""
