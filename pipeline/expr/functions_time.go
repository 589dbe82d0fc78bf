package expr

import (
	"math"
	"time"
)

var timeFunctions = map[string]function{
	"duration": {params: []mask{mString}, least: 1, most: 1, kinds: mDuration, call: duration},
	"date":     {params: []mask{mString | mNumber, mString, mString}, least: 1, most: 3, kinds: mTime, call: nil},
}

func duration(m *machine, args []value) (value, error) {
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	d, err := time.ParseDuration(string(text[:min(len(text), 100)]))
	if err != nil || len(text) > 100 {
		return vNil, fault("the text is no duration")
	}
	return value{kind: kDuration, num: int64(d)}, nil
}

func fromTime(t time.Time) (value, error) {
	s := t.Unix()
	if s < math.MinInt64/int64(time.Second)+1 || s > math.MaxInt64/int64(time.Second)-1 {
		return vNil, fault("a date before 1678 or after 2261")
	}
	return value{kind: kTime, num: t.UnixNano()}, nil
}
