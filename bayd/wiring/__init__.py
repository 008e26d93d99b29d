"""The daemon put together: the only place that names every concrete class, one module per part of it."""
