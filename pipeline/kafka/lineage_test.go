package kafka

import "testing"

func TestLineageBesideAnOffset(t *testing.T) {
	id := TopicID{1, 2, 3, 15: 255}
	for text, want := range map[string]Lineage{
		"":                                {Epoch: -1},
		"leader_epoch=5":                  {Epoch: 5},
		"topic_id=AQIDAAAAAAAAAAAAAAAA_w": {Topic: id, Epoch: -1},
		"topic_id=AQIDAAAAAAAAAAAAAAAA_w leader_epoch=0": {Topic: id},
	} {
		if got := parseLineage(text); got != want || want.text() != text {
			t.Errorf("%q: %v, written %q", text, got, want.text())
		}
	}
	// Whatever else it is, others have written it.
	for _, text := range []string{
		"leader_epoch=", "leader_epoch=-1", "leader_epoch=x", "leader_epoch=99999999999", "leader_epoch=5 by hand", " leader_epoch=5",
		"topic_id=", "topic_id=AQID", "topic_id=AQIDAAAAAAAAAAAAAAAA_w leader_epoch=5 more=1", "topic_id=AQIDAAAAAAAAAAAAAAAA/w",
		"host-7", "topic_id=AQIDAAAAAAAAAAAAAAAA_w\n", "leader_epoch=5 ",
	} {
		if got := parseLineage(text); got != (Lineage{Epoch: -1}) {
			t.Errorf("%q: %v", text, got)
		}
	}
}
