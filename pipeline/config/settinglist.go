package config

import (
	"encoding"
	"reflect"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/settings"
)

// This file lists settings for people: the list command and the reference.

// A Setting is one line of the reference of a component.
type Setting struct {
	Name     string    `json:"name"`
	Type     string    `json:"type"`
	Required bool      `json:"required,omitempty"`
	Default  any       `json:"default,omitempty"`
	Doc      string    `json:"doc"`
	Enum     []string  `json:"enum,omitempty"`
	Inner    []Setting `json:"settings,omitempty"` // of a mapping
}

// SettingList lists the settings of a component.
func (k *Kind) SettingList() []Setting { return settingList(reflect.ValueOf(k.Settings()).Elem()) }

// StepSettings lists what may stand beside a stage of kind k in an item of stages; nil: beside any.
func StepSettings(k *Kind) []Setting {
	list := without(settingList(reflect.ValueOf(defaultStage())), k)
	for i := range list {
		if k != nil && k.PerHost > 0 && list[i].Name == "max_per_host" {
			list[i].Default = k.PerHost
		}
	}
	return list
}

// OutputSettingList lists what may stand beside a sink of kind k in an item of sinks;
// nil: beside any.
func OutputSettingList(k *Kind) []Setting {
	return without(settingList(reflect.ValueOf(SinkSettings{OutputSettings: defaultOutput(k)})), k)
}

// DeadLetterSettingList lists what may stand in dead_letter beside a sink of kind k; nil: beside any.
func DeadLetterSettingList(k *Kind) []Setting {
	return without(settingList(reflect.ValueOf(DeadLetterSettings{OutputSettings: defaultOutput(k)})), k)
}

// without leaves out what has no meaning beside a component of kind k.
func without(list []Setting, k *Kind) []Setting {
	if k == nil {
		return list
	}
	return slices.DeleteFunc(list, func(s Setting) bool { return slices.Contains(k.never(), s.Name) })
}

// FileSettingList lists what may stand at the top of a pipeline file. What stands within
// source, stages, sinks and dead_letter is in the other lists.
func FileSettingList() []Setting {
	list := settingList(reflect.ValueOf(defaultPipeline()).Elem())
	for i := range list {
		switch s := &list[i]; s.Name {
		case "source", "dead_letter":
			s.Type, s.Inner = "component", nil
		case "stages", "sinks":
			s.Type, s.Inner = "list of components", nil
		case "order":
			s.Type, s.Inner, s.Default = "order", nil, "partition"
		}
	}
	return list
}

func settingList(v reflect.Value) []Setting {
	var list []Setting
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		s := Setting{Name: f.name, Type: typeName(f.typ), Required: f.tags.required, Doc: f.tags.doc, Enum: f.tags.enum}
		if f.tags.commas {
			s.Type += ", or a text parted by commas"
		}
		if d, ok := defaultOf(fv); ok && !s.Required {
			s.Default = d
		}
		inner := f.typ
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
			fv = fresh(inner)
		}
		if inner.Kind() == reflect.Struct && !isText(inner) {
			s.Inner = settingList(fv)
			if _, ok := canBeOff(inner); ok {
				s.Type += ", or off"
			}
		}
		if inner.Kind() == reflect.Map && inner.Elem().Kind() == reflect.Struct && !isText(inner.Elem()) {
			s.Inner = []Setting{{Name: "NAME", Type: "mapping", Doc: "one of them; the name is yours", Inner: settingList(fresh(inner.Elem()))}}
		}
		if elem, ok := isOrdered(inner); ok && elem.Kind() == reflect.Struct && !isText(elem) {
			one := Setting{Name: "NAME", Type: "mapping", Doc: "one of them; the name is yours", Inner: settingList(fresh(elem))}
			if f := shortField(elem); f != nil {
				one.Type = typeName(f.typ) + ", which is its " + f.name + ", or mapping"
			}
			s.Inner = []Setting{one}
		}
		list = append(list, s)
	}
	return list
}

// typeName is what a setting of type t looks like, in a word or two.
func typeName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t == conditionType:
		return "condition"
	case t == exprType:
		return "expression"
	case t == templateType:
		return "template"
	case t == durationType:
		return "duration"
	case t == sizeType:
		return "size"
	case t == rateType:
		return "rate"
	case t == shareType:
		return "share"
	case t == secretType:
		return "secret"
	case t == pathType:
		return "file name"
	case t == reflect.TypeFor[settings.FieldName]():
		return "field name"
	case t == reflect.TypeFor[settings.FieldPath]():
		return "field path"
	case t == reflect.TypeFor[settings.HeaderName](), t == reflect.TypeFor[settings.HeaderOrAll]():
		return "header name"
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || isText(t):
		return "text"
	}
	if elem, ok := isOrdered(t); ok {
		return "mapping of " + plural(typeName(elem))
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Struct, reflect.Interface:
		return "mapping"
	case reflect.Slice:
		return "list of " + plural(typeName(t.Elem()))
	case reflect.Map:
		return "mapping of " + plural(typeName(t.Elem()))
	}
	return "whole number"
}

func plural(s string) string {
	if strings.HasPrefix(s, "list of") || strings.HasPrefix(s, "mapping") {
		return strings.Replace(strings.Replace(s, "list", "lists", 1), "mapping", "mappings", 1)
	}
	return s + "s"
}
