package catalog

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/settings"
	httpsource "github.com/penstockio/penstock/pipeline/source/http"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
	httpsink "github.com/penstockio/penstock/sinks/http"
	kafkasink "github.com/penstockio/penstock/sinks/kafka"
	"github.com/penstockio/penstock/stages"
	httpstage "github.com/penstockio/penstock/stages/http"
	"github.com/penstockio/penstock/stages/scrape"
)

// topicsRead gives the topics that a source reads. It gives none for a source that stops at an
// end: what is written during its run comes after that end, and is not read.
func topicsRead(s *kafkasource.Settings) []config.Channel {
	if s.Stop != "never" {
		return nil
	}
	var all []config.Channel
	for _, t := range s.Topics {
		all = append(all, config.Channel{Field: "topics", Name: "topic " + t, Addresses: kafkasource.Addresses(s.Brokers)})
	}
	return all
}

// topicsWritten gives the topic that a sink writes, when it is the same for every record.
func topicsWritten(s *kafkasink.Settings, p *config.Pipeline) []config.Channel {
	if !s.Topic.Static() {
		return nil
	}
	brokers := s.Brokers
	if in, ok := p.Source.Settings.(*kafkasource.Settings); ok && len(brokers) == 0 {
		brokers = in.Brokers
	}
	topic := s.Topic.String()
	return []config.Channel{{Field: "topic", Name: "topic " + topic, Addresses: kafkasource.Addresses(brokers),
		Escape: `write to another topic; where records are meant to come back, and come to rest, say so by a part: topic: '{"` + topic + `"}'`}}
}

// warnNoRows warns of a table without rows, as a failed export leaves it.
func warnNoRows(s *stages.LookupSettings) []config.Warning {
	if !s.Empty() {
		return nil
	}
	return []config.Warning{{Field: "table.file", Text: "the table has no rows: no key is found in it",
		Suggestion: "put rows into the file; while the pipeline runs they count within 2 s"}}
}

// warnLargeBodies warns of bodies that together may take more than the process is to have: one of each lane grows beyond the budget
// where that is spent, or two that have half of the room each would wait for each other.
func warnLargeBodies(s *httpsource.Settings, p *config.Pipeline) []config.Warning {
	all := settings.Size(s.Lanes) * s.MaxBody
	if all <= p.Limits.InFlightBytes {
		return nil
	}
	return []config.Warning{{Field: "max_body", Text: fmt.Sprintf("one body of each of the %d lanes may grow beyond limits.in_flight_bytes (%v): %d of %v are %v",
		s.Lanes, p.Limits.InFlightBytes, s.Lanes, s.MaxBody, all), Suggestion: "write less for max_body or lanes, or more for limits.in_flight_bytes"}}
}

// warnCutName warns of a crawler whose name is not the one that a robots.txt would have to give.
func warnCutName(s *scrape.Settings) []config.Warning {
	product, cut := s.CutName()
	if !cut {
		return nil
	}
	return []config.Warning{{Field: "agent", Text: "robots.txt is read for " + product + ": a name ends where something else than a letter, a hyphen or an underscore stands",
		Suggestion: "write a name without digits and dots in front of the version, as in acme-docs/1.0"}}
}

// warnNoBody warns of a request that is to carry something and carries nothing, of which no record
// has a part: servers that read it answer 400, others never see the record. One that means it so
// says what type nothing has.
func warnNoBody(s *httpstage.Settings) []config.Warning {
	if s.Method != http.MethodPost && s.Method != http.MethodPut && s.Method != http.MethodPatch || s.Sends() || !s.URL.Static() {
		return nil
	}
	for _, t := range s.Headers {
		if !t.Static() {
			return nil
		}
	}
	if s.Has("Content-Type") {
		return nil
	}
	return []config.Warning{{Field: "method", Text: "a " + s.Method + " without a body is sent empty: nothing of the record is in it",
		Suggestion: `write what to send, as in json: '{id: id}'; for a server that wants none set the header content-type, or a GET`}}
}

var namedPart = regexp.MustCompile(`\{\{?\s*\.?[A-Za-z_$][\w.]*\s*\}`)

// warnFixedHeaders warns of a header with what looks like a part of a template: a request of the
// sink holds several records, so its headers are sent as they are written.
func warnFixedHeaders(s *httpsink.Settings) []config.Warning {
	var all []config.Warning
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		if part := namedPart.FindString(s.Headers[name]); part != "" {
			all = append(all, config.Warning{Field: "headers." + name, Text: "headers are sent as they stand, " + part + " too: a request holds several records",
				Suggestion: "url takes parts; the key and the headers of each record are in the body with as: fixture"})
		}
	}
	return all
}

// warnSecretParts warns of a secret header with what looks like a part of a template: it is sent as it is
// written. What it holds is not quoted.
func warnSecretParts(headers map[string]settings.Secret, write string) []config.Warning {
	var all []config.Warning
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if namedPart.MatchString(headers[name].Reveal()) {
			all = append(all, config.Warning{Field: "secret_headers." + name, Text: "secret headers are sent as they stand, braces too: nothing of the record is in them",
				Suggestion: write + "; a secret that has braces stands in a file, under auth.header.value_file"})
		}
	}
	return all
}

// warnKeywords warns of members of a schema that are no keywords and nearly one: they let pass
// whatever they were to refuse. What is short or less near may be a remark of the schema's writer.
func warnKeywords(s *stages.ValidateSettings) []config.Warning {
	var all []config.Warning
	for _, u := range s.UnknownKeywords() {
		write, least := "", 3
		for _, rule := range stages.SchemaRules() {
			d := config.Distance(u.Name, rule)
			if near := d < 2 || d == 2 && len(rule) > 7; near && len(rule) > 3 && d < least {
				write, least = rule, d
			}
		}
		if write == "" {
			continue
		}
		text := "the schema has " + u.Name + ", which is no keyword: it is no rule, and everything passes it"
		if u.Place != "" {
			text = u.Place + ": " + text
		}
		all = append(all, config.Warning{Field: u.Field, Text: text, Suggestion: "write " + write + "; a remark of your own is called x-" + u.Name})
	}
	return all
}
