"""How nodes move: each takes an evaluated path one step nearer to the geodesic."""
