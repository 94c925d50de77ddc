-- A function of the state, which Python could call at any time.
-- outcome: MarshalError: cannot pass a function
return { call = function() return 1 end }
