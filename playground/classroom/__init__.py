"""A class on one server: workspaces that only their owners open, and a teacher who sees what is going on in them."""
