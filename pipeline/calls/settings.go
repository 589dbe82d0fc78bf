package calls

import (
	"time"

	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings stand beside the name of a stage that waits for somebody else.
type Settings struct {
	Limit       []string        `yaml:"limit" commas:"true" doc:"rates of limits.rates that calls keep to, by name: one, or several"`
	MaxPerHost  int             `yaml:"max_per_host" min:"1" max:"65536" doc:"most calls at once to one host or database; default: workers, or what the stage says. As many as there are workers it stays as many when these are changed while it runs"`
	Adaptive    bool            `yaml:"adaptive" doc:"calls at once to one host are as many as it answers without getting slower, at most max_per_host"`
	Breaker     BreakerSettings `yaml:"breaker" doc:"when a host that fails is left alone; off: never"`
	Cache       *CacheSettings  `yaml:"cache" doc:"keep answers for a while; without it none is kept"`
	Share       *bool           `yaml:"share" doc:"equal calls that run at the same time are one; default: yes, for those that only read"`
	RetryBudget settings.Share  `yaml:"-"` // retry.budget of the step
}

// BreakerSettings say when a host is left alone.
type BreakerSettings struct {
	Off      bool           `yaml:"-" off:"true"` // breaker: off
	Failures settings.Share `yaml:"failures" min:"1%" doc:"share of the calls within the window that fail before the host is left alone"`
	Calls    int            `yaml:"calls" min:"1" max:"1000000" doc:"fewest calls within the window for that; fewer are enough when nothing else comes from the host for a while; so many failures in a row do it too"`
	Window   time.Duration  `yaml:"window" min:"100ms" max:"1h" doc:"over which calls are counted"`
	Open     time.Duration  `yaml:"open" min:"1ms" max:"1h" doc:"how long the host is left alone before one call tries it; doubles with each that fails; a fifth less or more at random"`
	MaxOpen  time.Duration  `yaml:"max_open" min:"1ms" max:"24h" doc:"longest time between such calls"`
	GiveUp   time.Duration  `yaml:"give_up" min:"1s" max:"8760h" doc:"how long a host that is left alone may give no answer before its records are rejected, until it does; default: for ever, and 10m where hosts come from records"`
}

// CacheSettings say which answers are kept, and how long.
type CacheSettings struct {
	TTL         time.Duration `yaml:"ttl" required:"true" min:"1ms" doc:"how long an answer is used again"`
	NegativeTTL time.Duration `yaml:"negative_ttl" min:"1ms" doc:"how long it is known that there is none; default: ttl"`
	Stale       time.Duration `yaml:"stale" doc:"how long after that an answer still stands in while its host fails or is left alone"`
	Entries     int           `yaml:"entries" min:"1" max:"100000000" doc:"most answers; the least used go first"`
	Bytes       settings.Size `yaml:"bytes" min:"1KiB" doc:"most memory, charged to the budget of the process"`
	HTTP        bool          `yaml:"http" doc:"let Cache-Control, Expires, Vary and ETag of an answer decide, with ttl for those that say nothing"`
}

// RateSettings are one entry of limits.rates.
type RateSettings struct {
	Rate  settings.Rate `yaml:"rate" required:"true" doc:"calls in a time: 100/s, 30/m, 1/10s"`
	Burst int           `yaml:"burst" min:"1" max:"1000000" doc:"calls that may come at once after a quiet time"`
	Per   string        `yaml:"per" enum:"process|host" doc:"process: all calls together; host: those to each host"`
}

// DefaultBreaker is what a step has whose file says nothing of a breaker.
func DefaultBreaker() BreakerSettings {
	return BreakerSettings{Failures: 0.5, Calls: 20, Window: 10 * time.Second, Open: time.Second, MaxOpen: 30 * time.Second}
}

// DefaultGiveUp is the BreakerSettings.GiveUp of a step that takes its hosts from records, of which any may
// be gone for good, when the file does not say.
const DefaultGiveUp = 10 * time.Minute

// DefaultRetryBudget is the share of calls that repeated ones which fail again may be when the file does
// not say.
const DefaultRetryBudget settings.Share = 0.2

// Defaults gives what a step has whose file says nothing.
func Defaults() Settings { return Settings{Breaker: DefaultBreaker(), RetryBudget: DefaultRetryBudget} }

// SetDefaults puts in what a rate has before a file is read.
func (r *RateSettings) SetDefaults() { *r = RateSettings{Burst: 1, Per: "process"} }

// SetDefaults puts in what a cache has before a file is read.
func (c *CacheSettings) SetDefaults() { *c = DefaultCache() }

// DefaultCache gives the settings of a cache before a file is read.
func DefaultCache() CacheSettings { return CacheSettings{Entries: 10000, Bytes: 16 << 20} }
