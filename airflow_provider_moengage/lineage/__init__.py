"""Lineage of the operators for OpenLineage, whose packages are imported only where an event is built."""
