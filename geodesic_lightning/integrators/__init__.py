"""Initial value problems: the geodesic as an ordinary differential equation, its steps, and where a shot starts."""
