"""Login and logout of the page."""
