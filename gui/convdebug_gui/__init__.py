"""The window: a Qt application that reads sessions and drives the engine as a child process."""
