"""What a recipe needs before it is started (`oger plan`), and whether this installation works (`oger doctor`)."""
