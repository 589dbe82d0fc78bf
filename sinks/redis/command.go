package redissink

import (
	"bytes"
	"strconv"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A command is what a record makes of the server.
type command struct {
	index int // of the record in the write
	key   string
	args  []any
	size  int    // about how many bytes args have
	id    string // of an entry whose ID is made of the record's position; "": it is none

	fields []any // of an entry: those of args that are names and values in turn
}

func (c *command) add(args ...any) {
	c.args = append(c.args, args...)
	for _, a := range args {
		switch a := a.(type) {
		case string:
			c.size += len(a)
		case []byte:
			c.size += len(a)
		}
		c.size += 16
	}
}

// setHash sets the fields of a hash, takes others out and has the key live as long as is said, all or nothing. Three commands would
// not be that: where the key is of another type and the first is refused, the third would let somebody else's key
// expire. KEYS[1]; how long in milliseconds, 0: as before; how many fields are set; their names and values; those to take out.
const setHash = `local n = 2 * tonumber(ARGV[2])
for i = 3, n + 2, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = n + 3, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
if ARGV[1] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 0`

// command makes the command of a record.
func (k *Sink) command(c *command, rec *pipeline.Record) (err error) {
	if c.key, err = k.settings.Key.Filled(rec); err != nil {
		return err
	}
	if rec.Tombstone() && !k.form.Fixtures {
		if k.settings.OnTombstone == "reject" {
			return pipeline.Reject(pipeline.ReasonNotObject, client.NewError(pipeline.ReasonNotObject,
				k.what()+": a tombstone has nothing to store; with set and hset on_tombstone: delete deletes its key", nil))
		}
		c.add("del", c.key)
		return nil
	}
	switch k.settings.Command {
	case "hset":
		return k.hset(c, rec)
	case "xadd":
		return k.xadd(c, rec)
	}
	value, err := k.value(rec)
	if err != nil {
		return err
	}
	if c.add(k.settings.Command, c.key, value); k.settings.Command == "set" && k.settings.TTL > 0 {
		c.add("px", strconv.FormatInt(k.settings.TTL.Milliseconds(), 10))
	}
	return nil
}

// value gives what set and publish store or send.
func (k *Sink) value(rec *pipeline.Record) ([]byte, error) {
	if k.settings.Value.IsZero() {
		return k.whole(rec)
	}
	v, err := k.settings.Value.Bytes(rec)
	if err == nil && v == nil {
		err = k.reject("value is null", "")
	}
	return v, err
}

// whole gives the record's value, or all of the record.
func (k *Sink) whole(rec *pipeline.Record) ([]byte, error) {
	if !k.form.Fixtures {
		return rec.AppendValue(nil), nil
	}
	b, err := k.form.Append(nil, rec)
	return bytes.TrimSuffix(b, []byte("\n")), err
}

// fields calls set for each of Settings.Fields, with nil for one that is null.
func (k *Sink) fields(rec *pipeline.Record, set func(name string, value []byte)) error {
	for i := range k.settings.Fields {
		v, err := k.settings.Fields[i].Value.Bytes(rec)
		if err != nil {
			return err
		}
		set(k.names[i], v)
	}
	return nil
}

func (k *Sink) hset(c *command, rec *pipeline.Record) error {
	var pairs, gone []any
	set := func(name string, value []byte) {
		if value == nil {
			gone = append(gone, name)
		} else {
			pairs = append(pairs, name, value)
		}
	}
	var err error
	if len(k.names) > 0 {
		err = k.fields(rec, set)
	} else if err = rec.CheckObject(); err == nil {
		err = rec.Fields(func(name string, text []byte) bool {
			set(name, plain(text))
			return true
		})
	}
	switch {
	case err != nil:
		return err
	case len(pairs)+len(gone) == 0:
		return k.reject("there is no field to store", "")
	case len(gone) == 0 && k.settings.TTL == 0:
		c.add("hset", c.key)
		c.add(pairs...)
		return nil
	}
	c.add("eval", setHash, "1", c.key, strconv.FormatInt(k.settings.TTL.Milliseconds(), 10), strconv.Itoa(len(pairs)/2))
	c.add(pairs...)
	c.add(gone...)
	return nil
}

// plain gives the plain form of a JSON text: of a string its own bytes, of null nil. It is a copy.
func plain(text []byte) []byte {
	switch {
	case string(text) == "null":
		return nil
	case text[0] == '"':
		return jsontext.AppendUnquoted([]byte{}, text)
	}
	return bytes.Clone(text)
}

func (k *Sink) xadd(c *command, rec *pipeline.Record) error {
	c.add("xadd", c.key)
	if k.settings.MaxLen > 0 {
		c.add("maxlen", "~", strconv.FormatInt(k.settings.MaxLen, 10))
	}
	id := "*"
	if k.settings.ID == "position" {
		id = idOf(rec)
		c.id = id
	}
	c.add(id)
	before := len(c.args)
	if len(k.names) == 0 {
		v, err := k.whole(rec)
		c.add("value", v)
		c.fields = c.args[before:]
		return err
	}
	err := k.fields(rec, func(name string, value []byte) {
		if value != nil {
			c.add(name, value)
		}
	})
	c.fields = c.args[before:]
	if err == nil && len(c.fields) == 0 {
		err = k.reject("all fields are null", "")
	}
	return err
}

// idOf makes an ID of a position: the offset, and behind it partition and part, so that entries of one partition ascend, and two
// partitions, were they to meet in one stream, would not have the same. No ID is 0-0, which a stream has not.
func idOf(rec *pipeline.Record) string {
	below := uint64(uint32(rec.Position.Partition))<<32 | uint64(uint32(rec.Part)) + 1
	return strconv.FormatInt(rec.Position.Offset, 10) + "-" + strconv.FormatUint(below, 10)
}
