"""Face: files in which an operator writes down what a process or a site is to be."""
