"""The rate windows of a workspace: when a request may be sent."""
