"""From what the user named to the workers: who they are, and whether they can be looked into."""
