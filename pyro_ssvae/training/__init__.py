"""The loop of epochs, the steps it takes, and when it stops."""
