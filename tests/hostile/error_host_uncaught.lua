-- Lets an exception of a host function through.
-- outcome: ValueError: oops
host.fail()
