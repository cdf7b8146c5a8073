"""The page for operators: HTML made here, of the objects that the JSON of the API is made of."""
