"""Where paths live and what they are: manifolds, splines, paths of one leg or several. No score is known here."""
