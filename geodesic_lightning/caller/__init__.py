"""What a program may rely on that calls this one: calls wait for one another, and nothing of its own is changed."""
