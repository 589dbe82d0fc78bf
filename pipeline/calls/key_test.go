package calls

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestKey(t *testing.T) {
	long := strings.Repeat("x", 2000)
	lists := [][]string{
		nil, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"ab"}, {"a", "b"}, {"a\x01b"}, {"\x01a"}, {"k"}, {"h"},
		{long}, {long + "x"}, {long, ""}, {"", long}, {long[:1000], long[1000:]}, {long[:1001], long[1001:]}, {strings.Repeat("x", 1000)}, {strings.Repeat("x", 1024)},
	}
	seen := map[string][]string{}
	for _, l := range lists {
		k := Key(l...)
		if other, twice := seen[k]; twice {
			t.Errorf("%d parts and %d others have the same key", len(l), len(other))
		}
		if seen[k] = l; k == "" || len(k) > longestKey {
			t.Errorf("the key of %d parts has %d bytes", len(l), len(k))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\x00", "\x01", "a", long})))
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		if (Key(a...) == Key(b...)) != slices.Equal(a, b) {
			t.Fatal("two lists of parts have one key, or one has two")
		}
		var bytes [][]byte
		for _, p := range a {
			bytes = append(bytes, []byte(p))
		}
		if Key(bytes...) != Key(a...) {
			t.Fatal("text and bytes differ")
		}
	})
}
