-- expect: load not enough memory -- the top level is guarded too
local t = {}
for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end
