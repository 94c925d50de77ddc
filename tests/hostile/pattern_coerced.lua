-- Searches in a number, and for one.
-- outcome: returns (2, 3)
return string.find(12345, 23)
