"""What is connected to this PC: drivers made from the configuration, ports found, devices asked by hand."""
