# What the panels on Loki compute, over a log given whole: jq -s. The words are LogQL's. An answer is an array of
# {labels, value}. $at is the moment that is asked for, in seconds since 1970; $interval and $range are the time
# ranges of the page, in seconds.

# A time of the log in seconds since 1970.
def moment: (.[:19] + "Z" | fromdateiso8601) + ("0" + .[19:23] | tonumber);

# The lines of the log within a time range, which ends at $at.
def within($seconds): map(select((.timestamp | moment) as $t | $t > $at - $seconds and $t <= $at));

# Those of one event.
def lines($event; $seconds): map(select(.event_name == $event)) | within($seconds);

# The labels of a line or of an answer: those of its keys that it has.
def labels_of(keys): . as $line | reduce keys[] as $k ({}; if $line[$k] == null then . else .[$k] = ($line[$k] | tostring) end);

# Lines by their labels, each group with its values in the order of the log. Lines without a value are left out.
def series(keys; f): map(select(f != null)) | group_by(labels_of(keys)) | map({labels: (.[0] | labels_of(keys)), values: map(f)});

def sum_over(keys; f): series(keys; f) | map({labels, value: (.values | add)});
def rate_over($seconds; keys; f): series(keys; f) | map({labels, value: ((.values | add) / $seconds)});
def max_over(keys; f): series(keys; f) | map({labels, value: (.values | max)});
def first_over(keys; f): series(keys; f) | map({labels, value: .values[0]});
def last_over(keys; f): series(keys; f) | map({labels, value: .values[-1]});
def count_over(keys): series(keys; 1) | map({labels, value: (.values | length)});

# Answers by fewer labels.
def folded(keys): group_by(.labels | labels_of(keys)) | map({labels: (.[0].labels | labels_of(keys)), values: map(.value)});
def sum_by(keys): folded(keys) | map({labels, value: (.values | add)});
def max_by(keys): folded(keys) | map({labels, value: (.values | max)});

# One answer by another, where both have the same labels and the other is not 0.
def ratio(f; g): f as $of | g as $by
  | [$of[] as $a | $by[] | select(.labels == $a.labels and .value != 0) | {labels, value: ($a.value / .value)}];

# Lines as a panel shows them: when, how bad, and some of their keys.
def shown(keys): map(. as $line | {timestamp, level, message: (keys | map($line[.]) | map(select(. != null) | tostring) | join(" "))});
