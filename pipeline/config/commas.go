package config

import (
	"strings"
	"unicode"
)

// splitCommas gives the list that a value stands for, of a setting whose entries hold no commas.
// A text is split at its commas, and so is each entry of a list: a variable holds one text, and
// this is how several entries come from the environment.
func (d *decoder) splitCommas(n *node, path string) *node {
	switch {
	case n.kind == scalarNode && n.tag == "" && (!n.null || n.style != plainStyle):
		if strings.TrimSpace(n.text) == "" {
			text := label(path) + " is empty"
			if len(n.pieces) > 0 {
				text += ": " + n.raw + " gives nothing"
			}
			d.errorAt(n, text, "give entries, parted by commas, or remove the line")
			return &node{kind: brokenNode}
		}
		return &node{kind: sequenceNode, src: n.src, line: n.line, col: n.col, origin: n.origin, items: d.parts(n)}
	case n.kind != sequenceNode:
		return n
	}
	list := *n
	list.items = nil
	for _, item := range n.items {
		if item.kind == scalarNode && item.tag == "" && (!item.null || item.style != plainStyle) {
			list.items = append(list.items, d.parts(item)...)
			continue
		}
		list.items = append(list.items, item)
	}
	return &list
}

// parts gives the entries of a text without the blanks around them, each with its place in the
// file, as near as that is known.
func (d *decoder) parts(n *node) []*node {
	if len(n.pieces) == 0 && !strings.Contains(n.text, ",") && strings.TrimSpace(n.text) == n.text {
		return []*node{n}
	}
	secret := false
	for _, p := range n.pieces {
		secret = secret || p.secret
	}
	var all []*node
	offset := 0
	for part := range strings.SplitSeq(n.text, ",") {
		text := strings.TrimSpace(part)
		entry := *n
		entry.text = text
		if len(n.pieces) > 0 {
			entry.pieces = []piece{{name: n.raw, text: text, secret: secret, whole: true}}
		} else if n.text == n.raw {
			entry.line, entry.col = n.place(offset + len(part) - len(strings.TrimLeftFunc(part, unicode.IsSpace)))
			entry.raw, entry.style = text, plainStyle
		}
		if secret {
			d.secrets = append(d.secrets, text)
		}
		all = append(all, &entry)
		offset += len(part) + 1
	}
	return all
}
