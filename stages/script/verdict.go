package script

import (
	"go.starlark.net/starlark"

	"github.com/penstockio/penstock/stages/script/internal/bounded"
)

// This file has the functions by which a script says what becomes of its record.

// errFilter is what filter gives.
type errFilter struct{}

func (errFilter) Error() string { return "the record is filtered" }

// errReject is what reject gives.
type errReject struct{ text string }

func (e *errReject) Error() string { return "the script rejects the record" }

// tombstone is what a script returns to make a tombstone of the record.
type tombstoneValue struct{}

var _ starlark.Value = tombstoneValue{}

func (tombstoneValue) String() string        { return "tombstone" }
func (tombstoneValue) Type() string          { return "tombstone" }
func (tombstoneValue) Freeze()               {}
func (tombstoneValue) Truth() starlark.Bool  { return true }
func (tombstoneValue) Hash() (uint32, error) { return 1, nil }

// names are what a script has beside the names of the language.
func names() starlark.StringDict {
	return starlark.StringDict{
		"tombstone": tombstoneValue{},
		"filter": bounded.Builtin("filter", func(_ *bounded.Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if err := starlark.UnpackPositionalArgs("filter", args, kwargs, 0); err != nil {
				return nil, err
			}
			return nil, errFilter{}
		}),
		"reject": bounded.Builtin("reject", func(r *bounded.Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if len(kwargs) > 0 {
				return nil, starlark.UnpackPositionalArgs("reject", args, kwargs, 0)
			}
			text, err := r.Text(args, " ")
			if err != nil {
				return nil, err
			}
			return nil, &errReject{text: text}
		}),
	}
}
