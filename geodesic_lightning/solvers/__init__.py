"""From a problem to a measured path: Lightning modules that hold the nodes and step an optimizer."""
