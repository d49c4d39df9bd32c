"""The loss of a micro-batch, and the layout in which TRL hands it over."""
