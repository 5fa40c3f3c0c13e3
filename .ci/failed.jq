# Reads the events of go test -json, and says in a few lines what failed: of each test its own messages, and of a package
# that does not compile, or ended otherwise, the last it printed.
def own: test("^ +[^ ]+_test\\.go:[0-9]+: ");
def begins: test("^ +[^ ]+\\.go:[0-9]+: |^panic: |^fatal error: |^WARNING: DATA RACE");

# Of each message the first three lines: what a test shows of a log or of a page is longer.
def messages: reduce .[] as $line ({all: [], more: 0};
    if $line | begins then .all += [$line] | .more = 2
    elif .more > 0 and ($line | startswith("        ")) then .all[-1] += $line | .more -= 1
    else .more = 0 end)
  | .all | if any(own) then map(select(own or (startswith(" ") | not))) else . end;

def few: if length > 15 then .[:5] + ["    ...\n"] + .[-10:] else . end | map(if length > 600 then .[:600] + " ...\n" else . end);

reduce inputs as $e ({said: {}, failed: []};
  "\($e.ImportPath // $e.Package)\t\($e.Test // "")" as $name
  | if $e.Action == "output" or $e.Action == "build-output" then .said[$name] += [$e.Output]
    elif $e.Action == "pass" or $e.Action == "skip" then del(.said[$name])
    elif $e.Action == "fail" or $e.Action == "build-fail" then .failed += [$name] + (if $e.Action == "fail" and $e.Test == null
      then [.said | to_entries[] | select((.key | startswith($name)) and .key != $name and (.value | messages | length > 0)) | .key] - .failed else [] end) # a crash has no event
    else . end)
| .said as $said | .failed as $failed
| if $failed == [] then empty else "\n== what failed\n" end, ($failed[] as $name
# A parent of a failed test has mostly nothing to say, and a package that has failed tests neither.
| ($said[$name] // []) as $lines | ($lines | messages) as $messages
| ($messages | if length > 0 then few
    elif any($failed[]; . != $name and startswith($name | if endswith("\t") then . else . + "/" end)) then empty
    else $lines | few end)
| "\n", ($name | sub("\t"; " ")), "\n", .[])
