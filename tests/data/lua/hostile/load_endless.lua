-- expect: load takes too long -- the top level is guarded too
while true do pcall(function() while true do end end) end
