"""The guard of the message path: what its hot functions cost in yardsticks, compared with what they cost before."""
