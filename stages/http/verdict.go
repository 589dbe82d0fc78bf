package httpstage

// A verdict is what a status says of the call.
type verdict uint8

const (
	rejects verdict = iota
	answers
	misses
	retries
)

// verdicts says it of each status. What the file says of a status comes before what it means by
// itself: with 204 a server may say that there is no such thing, and with 202 that it is not there
// yet.
func (s *Settings) verdicts() (all [600]verdict) {
	miss, retry := s.given()
	for status := range all {
		switch {
		case miss.Has(status):
			all[status] = misses
		case retry.Has(status):
			all[status] = retries
		case s.OKStatus.Has(status):
			all[status] = answers
		case s.MissStatus.Has(status):
			all[status] = misses
		case s.RetryStatus.Has(status):
			all[status] = retries
		case s.OKStatus == nil && 200 <= status && status <= 299:
			all[status] = answers
		}
	}
	return all
}

// verdict gives that of a status.
func (h *Stage) verdict(status int) verdict {
	if status < 0 || status >= len(h.verdicts) {
		return rejects
	}
	return h.verdicts[status]
}
