"""The commands of this repository, and the modules behind them."""
