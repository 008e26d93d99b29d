"""The only place that names every concrete class."""
