"""The operations of the Data API, one file each."""
