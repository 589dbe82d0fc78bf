package expr

import (
	"math"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// Time evaluates to a moment in milliseconds since 1970 UTC: a date gives its own, a part of a
// millisecond left out, and a number is such milliseconds. ok is false for nil. Anything else is
// an error.
func (e *Expr) Time(rec *pipeline.Record) (ms int64, ok bool, err error) {
	m, err := e.start(rec)
	if err != nil {
		return 0, false, err
	}
	defer e.end(m, &err)
	v, err := e.prog.run(m)
	if err != nil || v.kind == kNil {
		return 0, false, err
	}
	ms, err = v.milliseconds()
	return ms, err == nil, err
}

// milliseconds gives the moment that v is.
func (v value) milliseconds() (int64, error) {
	const limit = 1 << 53 // beyond it a float stands for several whole numbers
	switch {
	case v.kind == kTime:
		return time.Unix(0, v.num).UnixMilli(), nil
	case v.kind == kInt && v.num != pipeline.NoTime:
		return v.num, nil
	case v.kind == kFloat && math.Abs(v.float()) < limit:
		return int64(math.Floor(v.float())), nil
	case v.kind == kInt, v.kind == kFloat, v.kind == kBig:
		return 0, fault("the number is no time in milliseconds since 1970")
	}
	return 0, faultf("%s is no time: it takes a date, or milliseconds since 1970", v.kind)
}

// CheckTime gives an error when Time can never succeed.
func (e *Expr) CheckTime() error {
	if e.prog != nil && e.prog.kinds&(mTime|mNumber|mNil) == 0 {
		return faultf("the expression gives %s: a time is a date, as date(text) gives it, or milliseconds since 1970", e.prog.kinds)
	}
	return nil
}

// MayHold says whether what e gives may have what step leads to: a field, or an element. What is
// missing may become an object.
func (e *Expr) MayHold(step jsontext.Step) bool {
	holds := mArray
	if step.InObject() {
		holds = mObject | mNil
	}
	return e.prog == nil || e.prog.kinds&holds != 0
}
