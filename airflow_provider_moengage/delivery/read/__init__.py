"""Where rows come from: lists, databases, files, and staged copies of them."""
