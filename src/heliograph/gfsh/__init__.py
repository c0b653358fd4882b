"""Face: the command line and the shell."""
