"""The `tesela` command: one small module a verb, which imports what it needs when it is called."""
