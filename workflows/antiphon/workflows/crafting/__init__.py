"""What `fix` and `build` share: how test runs and checks are read back, the quality bar, and what a person may ask."""
