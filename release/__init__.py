"""What a release needs besides the package: its SBOM, the check of its tag, the trial beside an installed Airflow."""
