"""What all tests of the device share is in two files, which the catalogue's tests use too."""

pytest_plugins = ("shared_fixtures", "browser_fixtures")
