"""Story: sessions of the page. The tokens stay in the service; the browser has a random key of its session."""
