# Reads the events of go test -json, and prints what go test prints without: the result of each package, and all
# that a failed test said. With $all it prints every line, as go test -v does.
def test: "\(.Package)\t\(.Test)";

foreach inputs as $e ({};
  .show = null
  | if $e.Action == "build-output" then .show = $e.Output
    elif $e.Action == "output" then
      if $all or $e.Test == null then .show = $e.Output else .said[$e | test] += $e.Output end
    elif $all then .
    elif $e.Test == null then # of a process that crashed or ran out of time, the tests that began and did not end
      if $e.Action == "fail" then ($e.Package + "\t") as $p | .show = ([(.said // {}) | to_entries[] | select(.key | startswith($p)) | .value] | add) else . end
    elif $e.Action == "fail" then .show = .said[$e | test] | del(.said[$e | test])
    elif $e.Action == "pass" or $e.Action == "skip" then del(.said[$e | test])
    else . end;
  .show // empty)
