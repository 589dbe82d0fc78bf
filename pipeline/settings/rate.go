package settings

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rate is how often something may happen: N times in a time, written 100/s, 30/m, 1/10s.
type Rate struct {
	N   float64 // above 0
	Per time.Duration
}

// PerSecond gives the rate in events a second.
func (r Rate) PerSecond() float64 { return r.N / r.Per.Seconds() }

// UnmarshalText reads 100/s, 2.5/s, 30/m, 1000/h or 1/10s.
func (r *Rate) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	wrong := fmt.Errorf("%q is no rate: write 100/s, 30/m or 1/10s", s)
	count, per, ok := strings.Cut(s, "/")
	n, err := strconv.ParseFloat(strings.TrimSpace(count), 64)
	if !ok || err != nil || !(n > 0) || n > 1e9 {
		return wrong
	}
	per = strings.TrimSpace(per)
	if per != "" && (per[0] < '0' || per[0] > '9') {
		per = "1" + per
	}
	d, err := time.ParseDuration(per)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return wrong
	}
	*r = Rate{n, d}
	return nil
}

// String is the reverse of UnmarshalText.
func (r Rate) String() string {
	if r.Per == 0 {
		return ""
	}
	per := r.Per.String()
	switch r.Per {
	case time.Second:
		per = "s"
	case time.Minute:
		per = "m"
	case time.Hour:
		per = "h"
	}
	return strconv.FormatFloat(r.N, 'f', -1, 64) + "/" + per
}

// MarshalText is the reverse of UnmarshalText.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// A Share is a part of a whole, from 0 to 1, written 20% or 0.2.
type Share float64

// UnmarshalText reads 20% or 0.2.
func (s *Share) UnmarshalText(text []byte) error {
	t := strings.TrimSpace(string(text))
	number, percent := strings.CutSuffix(t, "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("%q is no share: write 20%% or 0.2, at most 100%%", t)
	}
	*s = Share(f)
	return nil
}

// String gives it in percent.
func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'f', -1, 64) + "%" }

// MarshalText is the reverse of UnmarshalText.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
