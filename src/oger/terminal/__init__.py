"""What every command says on the terminal: plain text, the console, one-line errors."""
