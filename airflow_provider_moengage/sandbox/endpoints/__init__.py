"""The endpoints of the Data API, one file each."""
